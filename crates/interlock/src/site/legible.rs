//! What people write is read by other people, some of it before they sign: no text of
//! theirs is without end, or turns around what stands beside it.

use base::{Refusal, Rule};
use plant::Plant;
use policy::Role;
use proof::entry::Entry;
use serde_json::Value;

/// The longest text for people, in characters.
const MAX_WORDS: usize = 300;
/// The longest other text: a passkey's identifier is 1023 bytes, in base64url.
const MAX_TEXT: usize = 1400;
/// The fields whose text is for people.
const WORDS: [&str; 5] = ["name", "purpose", "reason", "title", "unit"];

/// Refuses an entry of a person or processor whose texts nobody could read safely.
/// Cells and the site repeat what others said, and bound it where they do.
pub fn check(plant: &Plant, entry: &Entry) -> Result<(), Refusal> {
    let issuer = &entry.statement.issuer;
    if plant.has_role(issuer, Role::Cell) || plant.has_role(issuer, Role::Site) {
        return Ok(());
    }
    let mut body = entry.statement.body.clone();
    // A text of many lines, and certificates: their own parsers judge them.
    for judged in ["/propose/policy/text", "/propose/keys/authorities"] {
        if let Some(value) = body.pointer_mut(judged) {
            *value = Value::Null;
        }
    }
    match illegible(&body, MAX_TEXT) {
        None => Ok(()),
        Some(reason) => Err(Refusal {
            who: issuer.to_string(),
            what: "an entry on the ledger".into(),
            rule: Rule::Format,
            reason,
            accepted: format!(
                "texts for people of at most {MAX_WORDS} characters, without control and \
                 direction characters"
            ),
        }),
    }
}

/// The first text that is too long or holds what cannot be seen.
fn illegible(value: &Value, most: usize) -> Option<String> {
    match value {
        Value::String(text) => {
            if let Some(hidden) = text.chars().find(|c| is_hidden(*c)) {
                return Some(format!("a text holds the character U+{:04X}", u32::from(hidden)));
            }
            let length = text.chars().count();
            (length > most).then(|| format!("a text has {length} characters, at most {most}"))
        }
        Value::Array(items) => items.iter().find_map(|item| illegible(item, most)),
        Value::Object(map) => map.iter().find_map(|(name, value)| {
            let most = if WORDS.contains(&name.as_str()) { MAX_WORDS } else { most };
            illegible(value, most).map(|found| format!("`{name}`: {found}"))
        }),
        _ => None,
    }
}

/// Control characters, and those that order, join or hide what stands beside them.
pub fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}')
        || matches!(c, '\u{2060}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn texts_that_mislead_or_never_end_are_found() {
        let found = |body: Value| illegible(&body, MAX_TEXT);
        assert_eq!(found(json!({"hold": {"reason": "Öl auf dem Boden, 温度 38 °C"}})), None);
        let turned = found(json!({"hold": {"reason": "safe \u{202e}era uoy"}})).unwrap();
        assert_eq!(turned, "`hold`: `reason`: a text holds the character U+202E");
        assert!(found(json!({"hold": {"reason": "a\nb"}})).unwrap().contains("U+000A"));
        assert!(found(json!({"hold": {"reason": "x".repeat(301)}})).unwrap().contains("301"));
        assert_eq!(found(json!({"accept": {"credential": "x".repeat(1364)}})), None);
        assert!(found(json!({"propose": [{"title": "\u{feff}"}]})).is_some());
    }
}
