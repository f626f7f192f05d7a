//! Globs over addresses.

use super::Address;

/// Whether a glob matches an address or something that holds it. `*` stands for any text within a segment, `**` for any text.
pub fn matches(glob: &str, address: &Address) -> bool {
    let text = address.as_str().as_bytes();
    let ends = (0..=text.len()).filter(|end| *end == text.len() || text[*end] == b'/' || text[*end] == b'[');
    ends.into_iter().any(|end| glob_matches(glob.as_bytes(), &text[..end]))
}

/// One row of the table "does this much of the glob match this much of the text" at a time: no recursion, no blow-up.
fn glob_matches(glob: &[u8], text: &[u8]) -> bool {
    let mut row = vec![false; text.len() + 1];
    row[0] = true;
    let mut at = 0;
    while at < glob.len() {
        let (token, length) = match &glob[at..] {
            [b'*', b'*', ..] => (Token::Any, 2),
            [b'*', ..] => (Token::InSegment, 1),
            [byte, ..] => (Token::Byte(*byte), 1),
            [] => unreachable!("the loop ends before the glob does"),
        };
        at += length;
        let mut next = vec![false; text.len() + 1];
        match token {
            Token::Byte(byte) => (0..text.len()).for_each(|j| next[j + 1] = row[j] && text[j] == byte),
            Token::Any | Token::InSegment => {
                for j in 0..=text.len() {
                    let goes_on = j > 0 && next[j - 1] && (token == Token::Any || text[j - 1] != b'/');
                    next[j] = row[j] || goes_on;
                }
            }
        }
        row = next;
    }
    row[text.len()]
}

#[derive(Clone, Copy, PartialEq)]
enum Token {
    Byte(u8),
    InSegment,
    Any,
}
