//! Which version of a language a project wants: reading the files that say so, and choosing an image tag that fits a range.

use super::error::DetectError;
use super::model::ToolVersion;
use super::parse;
use super::source::SourceTree;

/// Versions of one language that have base images.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Known {
    /// `python`, `node`, ...; also the name in `.tool-versions` and `mise.toml`.
    pub(crate) tool: &'static str,
    /// Taken when nothing is said, and when it fits what is said.
    pub(crate) default: &'static str,
    /// Newest first.
    pub(crate) lines: &'static [&'static str],
    /// How many numbers a tag has; more precise wishes are cut to it, so that security fixes arrive. 3: kept exactly.
    pub(crate) precision: usize,
}

/// Something that was said about the version.
#[derive(Debug, Clone)]
pub(crate) struct Wish {
    /// As written: `^18`, `3.12.4`, `lts/*`.
    pub(crate) spec: String,
    /// Where.
    pub(crate) source: String,
}

impl Wish {
    pub(crate) fn new(spec: impl Into<String>, source: impl Into<String>) -> Self {
        Self { spec: spec.into(), source: source.into() }
    }

    /// A file that holds nothing but the version.
    pub(crate) fn file(tree: &SourceTree, path: &str) -> Option<Self> {
        let line = parse::hint(tree, path).lines().map(str::trim).find(|l| !l.is_empty() && !l.starts_with('#'))?;
        Some(Self::new(line, path))
    }

    /// `.tool-versions` (asdf, mise) or `mise.toml`, under any of the tool's names.
    pub(crate) fn tool_files(tree: &SourceTree, names: &[&str]) -> Option<Self> {
        let asdf = parse::hint(tree, ".tool-versions").lines().find_map(|line| {
            let mut words = line.split_whitespace();
            let name = words.next()?;
            names.contains(&name).then(|| words.next())?
        });
        if let Some(version) = asdf {
            return Some(Self::new(version, ".tool-versions"));
        }
        let mise: toml::Table = parse::toml(tree, "mise.toml").ok().flatten()?;
        let tools = mise.get("tools")?.as_table()?;
        let version = names.iter().find_map(|n| match tools.get(*n)? {
            toml::Value::String(s) => Some(s.clone()),
            toml::Value::Integer(i) => Some(i.to_string()),
            toml::Value::Float(x) => Some(x.to_string()),
            _ => None,
        })?;
        Some(Self::new(version, "mise.toml"))
    }
}

/// Chooses the version from the first wish that is there.
pub(crate) fn choose(
    known: Known,
    explicit: Option<&str>,
    wishes: impl IntoIterator<Item = Option<Wish>>,
) -> Result<ToolVersion, DetectError> {
    let tool = |version: String, source: String| ToolVersion { tool: known.tool.to_owned(), version, source };
    if let Some(version) = explicit {
        return Ok(tool(version.to_owned(), "setting".into()));
    }
    match wishes.into_iter().flatten().next() {
        None => Ok(tool(known.default.into(), "default".into())),
        Some(wish) => fit(known, &wish).map(|version| tool(version, wish.source)),
    }
}

fn fit(known: Known, wish: &Wish) -> Result<String, DetectError> {
    let spec = wish.spec.trim().trim_matches(['"', '\'']);
    let spec = spec.trim_start_matches(&format!("{}-", known.tool)).trim_start_matches("v");
    if ["", "*", "latest", "stable", "lts", "lts/*", "node", "system", "current"].contains(&spec) {
        return Ok(known.default.into());
    }
    if let Some((_, line)) = NAMED.iter().find(|(name, _)| *name == spec) {
        return Ok((*line).into());
    }
    if let Some(numbers) = numbers(spec) {
        return Ok(numbers.iter().take(known.precision).map(u32::to_string).collect::<Vec<_>>().join("."));
    }
    let lines = std::iter::once(&known.default).chain(known.lines);
    let found = lines.copied().find(|line| fits(spec, line));
    found.map(str::to_owned).ok_or_else(|| {
        DetectError::unsupported(
            format!("{} asks for {} {:?}, and no known version fits", wish.source, known.tool, wish.spec),
            format!("Known are {}. Change the range, or set the version of the app", known.lines.join(", ")),
        )
    })
}

/// Node's release names.
const NAMED: &[(&str, &str)] =
    &[("lts/krypton", "24"), ("lts/jod", "22"), ("lts/iron", "20"), ("lts/hydrogen", "18"), ("lts/gallium", "16")];

/// One to four numbers with dots and nothing else.
fn numbers(spec: &str) -> Option<Vec<u32>> {
    let parts: Option<Vec<u32>> = spec.split('.').map(|p| p.parse().ok()).collect();
    parts.filter(|p| p.len() <= 4)
}

/// Whether some version of a line (`22`, `3.12`) satisfies a range, in the notations of npm, PEP 440, Bundler and Composer.
fn fits(range: &str, line: &str) -> bool {
    let Some(line) = numbers(line) else {
        return false;
    };
    range.split("||").flat_map(|r| r.split('|')).any(|all| {
        let all = all.replace(" - ", " <=-");
        comparators(&all).iter().all(|c| admits(c, &line))
    })
}

/// `>= 18, <21` and `>=18 <21` as (`>=`, `18`), (`<`, `21`).
fn comparators(all: &str) -> Vec<(String, String)> {
    let mut found: Vec<(String, String)> = Vec::new();
    let mut op = String::new();
    let mut hyphen = false;
    for word in all.split([',', ' ', '"', '\'']).map(str::trim).filter(|w| !w.is_empty()) {
        let at = word.find(|c: char| c.is_ascii_alphanumeric() || c == '*').unwrap_or(word.len());
        let (o, version) = word.split_at(at);
        op.push_str(o);
        if version.is_empty() {
            continue;
        }
        hyphen |= op == "<=-";
        found.push((std::mem::take(&mut op).replace("<=-", "<="), version.trim_start_matches('v').to_owned()));
    }
    // In `16 - 20` the first number is a lower bound.
    if hyphen && let Some((first, _)) = found.first_mut().filter(|(o, _)| o.is_empty()) {
        *first = ">=".into();
    }
    found
}

/// Whether a comparator admits some version of a line.
fn admits((op, version): &(String, String), line: &[u32]) -> bool {
    let wanted: Vec<u32> = version.split(['.', '-', '@']).map_while(|p| p.parse().ok()).collect();
    if wanted.is_empty() {
        return true; // `*`, `x`
    }
    let shared = line.len().min(wanted.len());
    let order = line[..shared].cmp(&wanted[..shared]);
    match op.as_str() {
        ">=" | ">" => order.is_ge() && !(op == ">" && line.len() >= wanted.len() && order.is_eq()),
        "<" => order.is_lt() || (order.is_eq() && wanted[shared..].iter().any(|n| *n > 0)),
        "<=" => order.is_le(),
        "!=" => order.is_ne() || wanted.len() > line.len(),
        "^" => order.is_ge() && line.first() == wanted.first(),
        "~" if wanted.len() == 1 => order.is_eq(),
        "~" => order.is_ge() && line[..shared.min(2)] == wanted[..shared.min(2)],
        "~>" | "~=" => {
            let fixed = wanted.len().saturating_sub(1).max(1).min(shared);
            order.is_ge() && line[..fixed] == wanted[..fixed]
        }
        _ => order.is_eq(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NODE: Known = Known { tool: "node", default: "22", lines: &["24", "22", "20", "18", "16"], precision: 1 };
    const PY: Known = Known {
        tool: "python",
        default: "3.13",
        lines: &["3.14", "3.13", "3.12", "3.11", "3.10", "3.9"],
        precision: 2,
    };

    fn pick(known: Known, spec: &str) -> String {
        choose(known, None, [Some(Wish::new(spec, "x"))]).map_or_else(|e| e.to_string(), |v| v.version)
    }

    #[test]
    fn ranges_choose_the_default_where_it_fits() {
        for (spec, want) in [
            (">=18", "22"),
            (">=18 <21", "20"),
            ("^18.17.0 || >=24", "24"),
            ("18.x", "18"),
            ("~20.1", "20"),
            ("v20.11.1", "20"),
            ("lts/iron", "20"),
            ("lts/*", "22"),
            ("16 - 20", "20"),
            (">20", "22"),
            ("<20", "18"),
            ("20 || 22", "22"),
            (">= 16.0.0 <= 18", "18"),
            ("<=16", "16"),
        ] {
            assert_eq!(pick(NODE, spec), want, "{spec}");
        }
        for (spec, want) in [
            (">=3.9", "3.13"),
            (">=3.9,<3.12", "3.11"),
            ("^3.10", "3.13"),
            ("~=3.11.0", "3.11"),
            ("~3.12", "3.12"),
            ("3.12.4", "3.12"),
            ("python-3.11.9", "3.11"),
            ("3.*", "3.13"),
            ("==3.10.*", "3.10"),
            ("<3.13", "3.12"),
            (">=3.9,!=3.13", "3.14"),
            ("~=3.9", "3.13"),
        ] {
            assert_eq!(pick(PY, spec), want, "{spec}");
        }
    }

    #[test]
    fn a_range_nothing_fits_is_said() {
        assert_eq!(
            pick(PY, "<3"),
            "x asks for python \"<3\", and no known version fits. Known are 3.14, 3.13, 3.12, 3.11, 3.10, 3.9. Change the range, or set the version of the app"
        );
    }
}
