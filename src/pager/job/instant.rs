//! Instants of RFC 3339 in UTC, compared as texts.

/// Such that two instants in UTC compare as their texts do: `2026-03-01T00:00:00.5`. `None` for what is none.
pub(super) fn key(instant: &str) -> Option<String> {
    let text = instant.trim().to_ascii_uppercase();
    let text = text.strip_suffix('Z')?;
    let (whole, fraction) = text.split_once('.').map_or((text, None), |(whole, fraction)| (whole, Some(fraction)));
    let fits = whole.len() == SHAPE.len()
        && whole
            .bytes()
            .zip(SHAPE.bytes())
            .all(|(byte, shape)| if shape == b'0' { byte.is_ascii_digit() } else { byte == shape });
    let fraction = fraction.unwrap_or("0");
    if !fits || fraction.is_empty() || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let fraction = fraction.trim_end_matches('0');
    Some(if fraction.is_empty() { whole.to_owned() } else { format!("{whole}.{fraction}") })
}

const SHAPE: &str = "0000-00-00T00:00:00";
