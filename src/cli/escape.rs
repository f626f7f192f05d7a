//! The only way from outside text to a terminal or a log line.

use std::fmt;

/// A text from a program, a provider or a user, safe to show on one line: control characters, marks that turn the direction of
/// writing, zero-width and tag characters become visible, and workflow commands of runners are broken up.
pub struct Escaped<'t>(pub &'t str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut previous = ' ';
        for c in self.0.chars() {
            match c {
                '[' if previous == '#' => f.write_str("\\[")?,
                c if is_hidden(c) => write!(f, "\\u{{{:x}}}", c as u32)?,
                c => fmt::Write::write_char(f, c)?,
            }
            previous = c;
        }
        Ok(())
    }
}

/// `text` safe to show, with at most `most` characters.
pub fn clipped(text: &str, most: usize) -> String {
    let shown = Escaped(text).to_string();
    match shown.char_indices().nth(most) {
        None => shown,
        Some((at, _)) => format!("{}…", &shown[..at]),
    }
}

/// Characters that move the cursor, hide, or change how their neighbours read.
pub fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{2028}' | '\u{2029}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{061c}'
            | '\u{feff}' | '\u{e0000}'..='\u{e007f}' | '\u{180e}' | '\u{115f}' | '\u{1160}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_moves_or_hides_becomes_visible() {
        assert_eq!(Escaped("a\u{1b}[31mb\rc\u{202e}d\u{200b}").to_string(), "a\\u{1b}[31mb\\u{d}c\\u{202e}d\\u{200b}");
        assert_eq!(Escaped("##[error]x").to_string(), "##\\[error]x");
        assert_eq!(clipped("abcdef", 3), "abc…");
        assert_eq!(clipped("abc", 3), "abc");
    }
}
