//! Canonical JSON (RFC 8785).

use super::common::*;
use serde_json::{Value, json};

pub fn vectors() -> Vec<Value> {
    let deep = |n: usize| format!("{}{}", "[".repeat(n), "]".repeat(n)).into_bytes();
    let long = |n: usize| format!("\"{}\"", "a".repeat(n - 2)).into_bytes();
    let text = |text: &str| text.as_bytes().to_vec();
    let good = [
        ("an empty object", text("{}")),
        (
            "sorted by UTF-16",
            text("{\"\\r\":1,\"1\":2,\"\u{80}\":3,\"ö\":4,\"€\":5,\"😀\":6,\"\u{fb33}\":7}"),
        ),
        ("escapes", text("\"\\b\\t\\n\\f\\r\\\"\\\\\\u0000\\u001f/\u{7f}\u{2028}\"")),
        (
            "numbers",
            text(
                "[0,-1,0.1,1e+21,100000000000000000000,1e-7,0.000001,5e-324,333333333.3333333,9007199254740992,-1.7976931348623157e+308]",
            ),
        ),
        ("a key named __proto__", text("{\"__proto__\":{\"a\":1}}")),
        ("as deep as allowed", deep(127)),
        ("as long as allowed", long(64 * 1024)),
    ];
    let bad = [
        ("a space", text("{\"a\": 1}")),
        ("unsorted keys", text("{\"b\":1,\"a\":2}")),
        ("a repeated key", text("{\"a\":1,\"a\":1}")),
        ("a repeated key in a list", text("[{\"a\":1,\"a\":2}]")),
        ("a float's spelling", text("[1.0]")),
        ("an exponent's spelling", text("[1E2]")),
        ("minus zero", text("[-0]")),
        ("a leading zero", text("[01]")),
        ("a number that a float cannot hold", text("[9007199254740993]")),
        ("a number out of range", text("[1e400]")),
        ("an escaped letter", text("\"\\u0041\"")),
        ("an escaped solidus", text("\"\\/\"")),
        ("upper-case hexadecimal", text("\"\\u001F\"")),
        ("half a character", text("\"\\ud83d\"")),
        ("an escaped character", text("\"\\ud83d\\ude00\"")),
        ("a raw control character", vec![b'"', 1, b'"']),
        ("a byte order mark", text("\u{feff}{}")),
        ("no UTF-8", vec![b'"', 0xff, b'"']),
        ("something after it", text("{}\n")),
        ("cut", text("{\"a\":[1,2")),
        ("a comma too many", text("[1,]")),
        ("not a number", text("NaN")),
        ("nothing", vec![]),
        ("too deep", deep(128)),
        ("too long", long(64 * 1024 + 1)),
    ];
    let one = |valid: bool, why: &'static str| {
        move |(name, bytes): (&str, Vec<u8>)| {
            vector("canonical", name, json!({ "bytes": b64(bytes) }), valid, why)
        }
    };
    let good = good.map(one(true, "it is its own canonical form")).into_iter();
    good.chain(bad.map(one(false, "another writer would have written other bytes"))).collect()
}
