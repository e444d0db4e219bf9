//! Keeps the caches of an app's own Dockerfile apart from everybody else's.
//!
//! BuildKit knows a cache mount by its id alone, over all builds of the engine: two tenants that write `id=pip`, or
//! nothing at all and the same target, share one folder, and each could plant files in the other's build. So every
//! cache mount gets the app's scope in front of its id. The instruction forms follow the Dockerfile reference (parser
//! directives, line continuation, `RUN` flags); what cannot be read with certainty is refused.

use super::error::{DetectError, Position};

/// The front ends that may read a Dockerfile: another one could ask for any cache by its id.
const FRONT_ENDS: &[&str] = &["docker/dockerfile", "docker/dockerfile-upstream"];

/// The Dockerfile with the scope in the id of each cache mount, or `None` when it has none. Line numbers stay.
///
/// # Errors
/// When a front end of somebody else is asked for, or a cache mount is written in a way that cannot be read with
/// certainty; with file and line.
pub fn scope_caches(file: &str, text: &str, scope: &str) -> Result<Option<String>, DetectError> {
    let refuse = |at: usize, message: String| DetectError::malformed(file, Position::of_offset(text, at), message);
    let escape = directives(text).map_err(|(at, message)| refuse(at, message))?;
    let mut out = String::with_capacity(text.len());
    let (mut kept, mut start) = (0, 0);
    while start < text.len() {
        // Each physical line may be the start of an instruction: whether an earlier one reaches into it (a here-document,
        // a continued comment) is the builder's to know, and not to be outwitted about.
        let view = Joined::from(text, start, escape);
        if let Some(flags) = flags_of_run(&view)
            && let Some(scoped) = scoped(&flags.words, scope).map_err(|message| refuse(start, message))?
        {
            let (from, to) = (view.offset(flags.from), view.offset(flags.to));
            if from >= kept {
                out.push_str(&text[kept..from]);
                out.push_str(&scoped);
                for _ in 0..text[from..to].matches('\n').count() {
                    out.push(escape);
                    out.push('\n');
                }
                kept = to;
            }
        }
        start = text[start..].find('\n').map_or(text.len(), |i| start + i + 1);
    }
    if kept == 0 {
        return Ok(None);
    }
    out.push_str(&text[kept..]);
    Ok(Some(out))
}

/// Reads the directives at the top: gives the escape character.
fn directives(text: &str) -> Result<char, (usize, String)> {
    let mut escape = '\\';
    let mut at = 0;
    let plain = text.trim_start_matches('\u{feff}');
    if plain.trim_start().starts_with('{') {
        return Err((0, "this is not a Dockerfile".to_owned()));
    }
    for line in text.split_inclusive('\n') {
        let words = line.trim_start_matches('\u{feff}').trim();
        let rest = words.strip_prefix('#').or_else(|| words.strip_prefix("//"));
        let pair = rest.and_then(|r| r.split_once('='));
        match pair.map(|(key, value)| (key.trim().to_ascii_lowercase(), value.trim())) {
            Some((key, value)) if key == "escape" => match value {
                "`" => escape = '`',
                "\\" => escape = '\\',
                _ => return Err((at, format!("the escape character may be \\ or `, not {value}"))),
            },
            Some((key, value)) if key == "syntax" && !is_docker_front_end(value) => {
                return Err((
                    at,
                    format!(
                        "`# syntax={value}` asks for another Dockerfile front end, and only docker/dockerfile may be used: \
                         another one could read the caches of other apps. Remove the line, or name docker/dockerfile:1"
                    ),
                ));
            }
            Some((key, _)) if key.chars().all(|c| c.is_ascii_alphanumeric()) => {}
            _ if at == 0 && words.starts_with("#!") => {}
            _ => break,
        }
        at += line.len();
    }
    Ok(escape)
}

fn is_docker_front_end(reference: &str) -> bool {
    let name = reference.split_whitespace().next().unwrap_or_default();
    let name = name.strip_prefix("docker.io/").unwrap_or(name);
    let name = name.split_once('@').map_or(name, |(name, _)| name);
    let name = name.split_once(':').map_or(name, |(name, _)| name);
    FRONT_ENDS.contains(&name)
}

/// An instruction as the builder sees it: continued lines joined, comments and empty lines between them left out.
struct Joined {
    /// Each character with its place in the file.
    characters: Vec<(usize, char)>,
    end: usize,
}

impl Joined {
    fn from(text: &str, start: usize, escape: char) -> Self {
        let mut characters = Vec::new();
        let mut at = start;
        let mut end = text.len();
        while at < text.len() {
            let line = text[at..].split_inclusive('\n').next().unwrap_or_default();
            let plain = line.trim_start_matches('\u{feff}');
            let between = at > start && (plain.trim_start().starts_with('#') || plain.trim().is_empty());
            if !between {
                let body = line.trim_end_matches([' ', '\t', '\r', '\n']);
                let open = body.strip_suffix(escape);
                let kept = open.unwrap_or_else(|| line.trim_end_matches(['\r', '\n']));
                characters.extend(kept.char_indices().map(|(i, c)| (at + i, c)));
                if open.is_none() {
                    end = at + kept.len();
                    break;
                }
            }
            at += line.len();
        }
        Self { characters, end }
    }

    fn get(&self, index: usize) -> Option<char> {
        self.characters.get(index).map(|(_, c)| *c)
    }

    /// Place in the file of a character, or of the end.
    fn offset(&self, index: usize) -> usize {
        self.characters.get(index).map_or(self.end, |(at, _)| *at)
    }

    /// The first place from `index` on that is no white space.
    fn skip_space(&self, mut index: usize) -> usize {
        while self.get(index).is_some_and(|c| c.is_whitespace() || c == '\u{feff}') {
            index += 1;
        }
        index
    }

    /// The word that starts at `index`, and where it ends.
    fn word(&self, index: usize) -> (String, usize) {
        let word: String = (index..).map_while(|i| self.get(i)).take_while(|c| !c.is_whitespace()).collect();
        let end = index + word.chars().count();
        (word, end)
    }
}

/// The flags of a `RUN`: from the first to the end of the last, as indexes of a [`Joined`].
struct Flags {
    words: Vec<String>,
    from: usize,
    to: usize,
}

/// The flags of the instruction, when it is a `RUN` (or one for later, `ONBUILD RUN`) that has any.
fn flags_of_run(view: &Joined) -> Option<Flags> {
    let (mut word, mut end) = view.word(view.skip_space(0));
    while word.eq_ignore_ascii_case("ONBUILD") {
        (word, end) = view.word(view.skip_space(end));
    }
    if !word.eq_ignore_ascii_case("RUN") {
        return None;
    }
    let from = view.skip_space(end);
    let (mut words, mut to) = (Vec::new(), from);
    let mut at = from;
    loop {
        let (word, end) = view.word(at);
        if !word.starts_with("--") {
            break;
        }
        words.push(word);
        to = end;
        at = view.skip_space(end);
    }
    (!words.is_empty()).then_some(Flags { words, from, to })
}

/// The flags with scoped caches, or `None` when there is no cache among them.
fn scoped(flags: &[String], scope: &str) -> Result<Option<String>, String> {
    let mut any = false;
    let mut all = Vec::with_capacity(flags.len());
    for flag in flags {
        let mount = flag.get(..8).filter(|f| f.eq_ignore_ascii_case("--mount=")).map(|_| &flag[8..]);
        let cache = match mount {
            Some(mount) => scoped_mount(mount, scope)?,
            // Flags are told apart by their exact name; one that is quoted or escaped into being is not.
            None if flag.contains(['"', '\'', '\\', '`']) => return Err(uncertain(flag)),
            None => None,
        };
        any |= cache.is_some();
        all.push(cache.unwrap_or_else(|| flag.clone()));
    }
    Ok(any.then(|| all.join(" ")))
}

/// `--mount=` with the scope in its id, when it mounts a cache.
fn scoped_mount(mount: &str, scope: &str) -> Result<Option<String>, String> {
    if mount.contains(['"', '\'', '\\', '`']) {
        return Err(uncertain(mount));
    }
    let fields: Vec<(String, Option<&str>)> = mount
        .split(',')
        .map(|field| match field.split_once('=') {
            Some((key, value)) => (key.trim().to_ascii_lowercase(), Some(value.trim())),
            None => (field.trim().to_ascii_lowercase(), None),
        })
        .collect();
    let value = |names: &[&str]| fields.iter().rev().find(|(k, _)| names.contains(&k.as_str())).and_then(|(_, v)| *v);
    let kinds: Vec<&str> = fields.iter().filter(|(k, _)| k == "type").filter_map(|(_, v)| *v).collect();
    if kinds.iter().any(|kind| kind.contains('$')) || fields.iter().any(|(key, _)| key.contains('$')) {
        return Err(format!("`--mount={mount}` takes its type from a variable; write the type itself"));
    }
    if !kinds.iter().any(|kind| kind.eq_ignore_ascii_case("cache")) {
        return Ok(None);
    }
    let own = value(&["id"]).or_else(|| value(&["target", "dst", "destination"]));
    let own = own.ok_or_else(|| format!("`--mount={mount}` is a cache without a target; add target=/some/folder"))?;
    let rest = fields.iter().filter(|(key, _)| key != "id").map(|(key, value)| match value {
        Some(value) => format!(",{key}={value}"),
        None => format!(",{key}"),
    });
    Ok(Some(format!("--mount=id={scope}-{own}{}", rest.collect::<String>())))
}

fn uncertain(flag: &str) -> String {
    format!("`{flag}` has quotes or escapes in it, so it is not certain what it mounts; write it without them")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scope(text: &str) -> Option<String> {
        scope_caches("Dockerfile", text, "S").expect(text)
    }

    #[test]
    fn every_way_to_write_a_cache_gets_the_scope() {
        for (mount, scoped) in [
            ("--mount=type=cache,target=/c", "--mount=id=S-/c,type=cache,target=/c"),
            ("--mount=type=cache,id=pip,target=/c", "--mount=id=S-pip,type=cache,target=/c"),
            ("--mount=id=a,id=b,dst=/c,TYPE=Cache,ro", "--mount=id=S-b,dst=/c,type=Cache,ro"),
            ("--mount=type=bind,type=cache,destination=/c", "--mount=id=S-/c,type=bind,type=cache,destination=/c"),
            ("--mount=type=cache,id=$X,target=/c", "--mount=id=S-$X,type=cache,target=/c"),
        ] {
            let text = |mount: &str| format!("FROM a\nRUN {mount} make\n");
            assert_eq!(scope(&text(mount)), Some(text(scoped)));
        }
        let scoped = "--mount=id=S-/c,type=cache,target=/c";
        for (text, expected) in [
            ("run --mount=type=cache,target=/c make", format!("run {scoped} make")),
            ("ONBUILD RUN --mount=type=cache,target=/c x", format!("ONBUILD RUN {scoped} x")),
            ("RUN --network=none --mount=type=cache,target=/c x", format!("RUN --network=none {scoped} x")),
            ("RU\\\nN --mount=type=cache,target=/c x", format!("RU\\\nN {scoped} x")),
            ("RUN --mount=type=ca\\\nche,target=/c x", format!("RUN {scoped}\\\n x")),
            (
                "RUN \\\n # why\n\n  --mount=type=cache,target=/c \\\n  x",
                format!("RUN \\\n # why\n\n  {scoped} \\\n  x"),
            ),
            ("# escape=`\nRUN `\n --mount=type=cache,target=/c `\n x", format!("# escape=`\nRUN `\n {scoped} `\n x")),
            (
                "RUN cat <<'a\\'\na\\\nRUN --mount=type=cache,target=/c x",
                format!("RUN cat <<'a\\'\na\\\nRUN {scoped} x"),
            ),
        ] {
            assert_eq!(scope(text).as_deref(), Some(expected.as_str()), "{text}");
        }
        let two =
            "RUN --mount=type=cache,target=/a --mount=type=cache,target=/b \\\n x\nRUN --mount=type=cache,target=/c y";
        let lines = scope(two).unwrap();
        assert_eq!((lines.matches("id=S-/").count(), lines.lines().count()), (3, 3));
    }

    #[test]
    fn what_has_no_cache_stays_as_it_is() {
        for text in [
            "FROM a\nRUN make\n",
            "RUN --mount=type=secret,id=x cat /run/secrets/x",
            "RUN echo --mount=type=cache,target=/c",
            "# RUN --mount=type=cache,target=/c x",
            "# syntax=docker/dockerfile:1.7\nFROM a",
            "# syntax = docker.io/docker/dockerfile:1@sha256:00\nFROM a",
            "# check=skip=all\n# escape=`\nFROM a",
            "",
        ] {
            assert_eq!(scope(text), None, "{text}");
        }
    }

    #[test]
    fn what_cannot_be_read_with_certainty_is_refused_with_its_line() {
        for (text, line, why) in [
            ("# syntax=evil/front-end\nFROM a", 1, "docker/dockerfile"),
            ("#!/usr/bin/env x\n# syntax=evil/front-end\nFROM a", 2, "evil/front-end"),
            ("// syntax=evil/front-end\nFROM a", 1, "evil/front-end"),
            ("\u{feff}# Syntax = evil\nFROM a", 1, "evil"),
            ("{\"syntax\": \"evil\"}", 1, "not a Dockerfile"),
            ("# escape=x\nFROM a", 1, "escape character"),
            ("FROM a\nRUN --mount=type=\"cache\",target=/c x", 2, "quotes"),
            ("FROM a\nRUN --mount=\"type=cache\",target=/c x", 2, "quotes"),
            ("FROM a\nRUN --m'o'unt=type=cache,target=/c x", 2, "quotes"),
            ("FROM a\nRUN --mount=type=$KIND,target=/c x", 2, "variable"),
            ("FROM a\nRUN --mount=type=cache x", 2, "target"),
        ] {
            let error = scope_caches("Dockerfile", text, "S").expect_err(text).to_string();
            assert!(error.starts_with(&format!("Dockerfile, line {line},")) && error.contains(why), "{text}: {error}");
        }
    }
}
