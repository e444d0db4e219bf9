//! Durations, sizes, shares and file modes as people write them.

use crate::stack::model::FileMode;

/// Milliseconds of a Compose duration: `1h30m`, `10s`, `500ms`, `1.5s`; days (`d`) and weeks (`w`) too.
pub(super) fn duration_ms(text: &str) -> Result<u64, String> {
    let wrong = || format!("`{text}` is not a duration; write for example `30s`, `1m30s` or `500ms`");
    let mut rest = text.trim();
    if rest.is_empty() {
        return Err(wrong());
    }
    if rest == "0" {
        return Ok(0);
    }
    let mut total = 0.0_f64;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let amount: f64 = rest[..digits].parse().map_err(|_| wrong())?;
        rest = &rest[digits..];
        let letters = rest.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(rest.len());
        let unit = match &rest[..letters] {
            "ns" => 1e-6,
            "us" | "µs" => 1e-3,
            "ms" => 1.0,
            "s" => 1e3,
            "m" => 60e3,
            "h" => 3_600e3,
            "d" => 86_400e3,
            "w" => 604_800e3,
            "" => return Err(format!("`{text}` has no unit; write for example `{text}s`")),
            _ => return Err(wrong()),
        };
        rest = &rest[letters..];
        total += amount * unit;
    }
    whole(total.ceil()).ok_or_else(wrong)
}

/// Bytes of a Compose size: `512m`, `1gb`, `1.5GiB`, `1024`; all units count in steps of 1024.
pub(super) fn bytes(text: &str) -> Result<u64, String> {
    let wrong = || format!("`{text}` is not a size; write for example `512m` or `2g`");
    let lower = text.trim().to_ascii_lowercase();
    let digits = lower.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(lower.len());
    let amount: f64 = lower[..digits].parse().map_err(|_| wrong())?;
    let factor: u32 = match lower[digits..].trim() {
        "" | "b" => 0,
        "k" | "kb" | "kib" => 1,
        "m" | "mb" | "mib" => 2,
        "g" | "gb" | "gib" => 3,
        "t" | "tb" | "tib" => 4,
        _ => return Err(wrong()),
    };
    whole((amount * 1024_f64.powi(i32::try_from(factor).unwrap_or(0))).floor()).ok_or_else(wrong)
}

/// A size in whole MiB, rounded up.
pub(super) fn mib(text: &str) -> Result<u32, String> {
    let bytes = bytes(text)?;
    u32::try_from(bytes.div_ceil(1024 * 1024)).map_err(|_| format!("`{text}` is too much"))
}

/// Thousandths of `0.5`, `2`, `1.25`.
pub(super) fn thousandths(text: &str) -> Result<u64, String> {
    let wrong = || format!("`{text}` is not a number; write for example `0.5` or `2`");
    let number: f64 = text.trim().parse().map_err(|_| wrong())?;
    whole((number * 1000.0).round()).ok_or_else(wrong)
}

/// Hundred-thousandths of a share: `99.9%` or `99.9` is 99 900.
pub(super) fn share(text: &str) -> Result<u32, String> {
    let wrong = || format!("`{text}` is not a share; write for example `99.9%`");
    let number: f64 = text.trim().trim_end_matches('%').trim_end().parse().map_err(|_| wrong())?;
    if !(0.0..=100.0).contains(&number) {
        return Err(wrong());
    }
    whole((number * 1000.0).round()).and_then(|n| u32::try_from(n).ok()).ok_or_else(wrong)
}

/// Permission bits. A number without a leading zero could be meant in tens, so it is refused.
pub(super) fn mode(text: &str) -> Result<FileMode, String> {
    let digits = text.strip_prefix("0o").or_else(|| text.strip_prefix('0'));
    let Some(digits) = digits else {
        return Err(format!("`{text}` could be octal or decimal; write the mode with a leading zero, as in `0440`"));
    };
    let bits = if digits.is_empty() { Some(0) } else { u32::from_str_radix(digits, 8).ok() };
    bits.and_then(FileMode::new).ok_or_else(|| format!("`{text}` is not a file mode; write for example `0440`"))
}

/// A number of the right size, without what floating point would make up.
fn whole(number: f64) -> Option<u64> {
    // Above this a double no longer holds every whole number.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    if !number.is_finite() || !(0.0..=EXACT).contains(&number) {
        return None;
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the range was checked above")]
    Some(number as u64)
}
