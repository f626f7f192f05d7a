//! The scan before the grammar: splits a text into chunks of whole items or entries, and refuses what is nested too deep.
//!
//! It knows strings, comments and brackets, and when a line goes on, and nothing else. A chunk may hold more than one item, never
//! part of one: so chunks can be parsed alone, in parallel, and an error in one leaves the others untouched. One pass, no
//! recursion; where brackets are not closed, the text is split again at lines that look like the beginning of an item.

use std::ops::Range;

/// How deep brackets, interpolations, type arguments and `if`s within one entry may nest, together.
pub const NESTING_MAX: usize = 128;
/// Bytes of one string, with its interpolations.
pub const STRING_MAX: usize = 1 << 20;

/// A run of whole items or entries.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Chunk {
    pub range: Range<usize>,
    /// The deepest nesting in it.
    pub depth: usize,
    /// The first limit that it exceeds; then it is not parsed.
    pub over: Option<Over>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Over {
    /// The byte that opens one level too many.
    Nesting(usize),
    /// Where the string begins.
    StringLength(usize),
}

/// What opened a level.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Opener {
    Paren,
    Bracket,
    Brace,
    /// `${` in a string of this form that began at this byte.
    Interpolation(Form, usize),
}

impl Opener {
    fn byte(self) -> u8 {
        match self {
            Opener::Paren => b'(',
            Opener::Bracket => b'[',
            Opener::Brace | Opener::Interpolation(..) => b'{',
        }
    }
}

/// The forms of strings.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Form {
    Line { escapes: bool },
    Block { escapes: bool },
}

struct Level {
    opener: Opener,
    at: usize,
    /// `if`s and `<`s of the entry that is being read on this level; they count as nesting until it ends.
    ifs: usize,
    angles: usize,
}

/// What stands in a text that does not close what it opens.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Unclosed {
    /// The byte of the bracket, and the one of the closing bracket that does not fit, if it is not the end that is reached.
    Bracket { at: usize, met: Option<usize> },
    /// A closing bracket that nothing opened.
    Stray { at: usize },
    /// Where the string begins, with its tag; and whether it could go on over lines.
    String { at: usize, block: bool },
}

/// Splits `text[range]` at newlines outside of brackets.
pub fn split(text: &str, range: Range<usize>) -> Vec<Chunk> {
    let mut scanner = Scanner::new(text, range.clone(), true);
    scanner.run();
    let mut chunks = scanner.chunks;
    if scanner.levels.is_empty() && scanner.unclosed_block.is_none() {
        return chunks;
    }
    // The last chunk runs to the end because something in it is not closed: the lines that look like items end it.
    let Some(last) = chunks.pop() else { return chunks };
    let mut start = last.range.start;
    let candidates = std::mem::take(&mut scanner.candidates);
    for end in candidates.into_iter().filter(|at| *at > last.range.start).chain([last.range.end]) {
        let mut piece = Scanner::new(text, start..end, false);
        piece.whole = true;
        piece.run();
        chunks.append(&mut piece.chunks);
        start = end;
    }
    chunks
}

/// Splits the inside of braces in the same way.
pub fn split_inside(text: &str, range: Range<usize>) -> Vec<Chunk> {
    let mut scanner = Scanner::new(text, range, false);
    scanner.run();
    scanner.chunks
}

/// The first thing in `text[range]` that is not closed.
pub fn first_unclosed(text: &str, range: Range<usize>) -> Option<Unclosed> {
    let mut scanner = Scanner::new(text, range, false);
    scanner.whole = true;
    scanner.run();
    let innermost = scanner.levels.last().map(|level| Unclosed::Bracket { at: level.at, met: None });
    scanner.unclosed.or(innermost)
}

/// The last pair of braces of a chunk that closes at its end, as the bytes of `{` and `}`; only blanks, comments, or a comma may
/// follow, and it stands outside of all other brackets. Where `}` is missing at the end, the end of the range stands for it.
pub fn last_braces(text: &str, range: Range<usize>) -> Option<Range<usize>> {
    let mut scanner = Scanner::new(text, range.clone(), false);
    scanner.whole = true;
    scanner.run();
    if let Some(level) = scanner.levels.first() {
        return (level.opener == Opener::Brace).then_some(level.at..range.end);
    }
    let (open, close) = scanner.outer_braces?;
    (scanner.last_significant == Some(close) || scanner.before_last_comma == Some(close)).then_some(open..close)
}

/// A word, number, sign, bracket or piece of a string, for messages.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Token {
    pub start: usize,
    pub end: usize,
    /// The bracket it stands in: its byte (`{` also for `${`), and where it is.
    pub inside: Option<(u8, usize)>,
}

/// The tokens of `text[range]`. A string is one, or several if it has interpolations.
pub fn tokens(text: &str, range: Range<usize>) -> Vec<Token> {
    let mut scanner = Scanner::new(text, range, false);
    scanner.whole = true;
    scanner.tokens = Some(Vec::new());
    scanner.run();
    scanner.tokens.unwrap_or_default()
}

/// The first byte of `text[range]` that is no blank, newline or comment.
pub fn first_significant(text: &str, range: Range<usize>) -> Option<usize> {
    let mut at = range.start;
    for line in text[range].split_inclusive('\n') {
        let blanks = line.len() - line.trim_start().len();
        if blanks < line.len() && line.as_bytes()[blanks] != b'#' {
            return Some(at + blanks);
        }
        at += line.len();
    }
    None
}

struct Scanner<'t> {
    bytes: &'t [u8],
    start: usize,
    end: usize,
    at: usize,
    levels: Vec<Level>,
    /// Levels with their `if`s and `<`s, and those outside of all brackets.
    depth: usize,
    outer_ifs: usize,
    outer_angles: usize,
    chunks: Vec<Chunk>,
    current: Chunk,
    /// The last byte that is no blank, newline or comment, in the present chunk.
    last_significant: Option<usize>,
    before_last_comma: Option<usize>,
    /// A newline outside of brackets after which the chunk ends, unless the next line goes on.
    pending: Option<usize>,
    pending_inner: bool,
    /// Lines inside of brackets that look like the beginning of an item.
    candidates: Vec<usize>,
    wants_candidates: bool,
    unclosed_block: Option<usize>,
    unclosed: Option<Unclosed>,
    outer_braces: Option<(usize, usize)>,
    /// One chunk, never split.
    whole: bool,
    tokens: Option<Vec<Token>>,
}

impl<'t> Scanner<'t> {
    fn new(text: &'t str, range: Range<usize>, wants_candidates: bool) -> Self {
        Scanner {
            bytes: text.as_bytes(),
            start: range.start,
            end: range.end,
            at: range.start,
            levels: Vec::new(),
            depth: 0,
            outer_ifs: 0,
            outer_angles: 0,
            chunks: Vec::new(),
            current: Chunk { range: range.start..range.end, depth: 0, over: None },
            last_significant: None,
            before_last_comma: None,
            pending: None,
            pending_inner: false,
            candidates: Vec::new(),
            wants_candidates,
            unclosed_block: None,
            unclosed: None,
            outer_braces: None,
            whole: false,
            tokens: None,
        }
    }

    fn run(&mut self) {
        while self.at < self.end {
            let at = self.at;
            let byte = self.bytes[at];
            match byte {
                b' ' | b'\t' | b'\r' => self.at += 1,
                b'\n' => {
                    self.at += 1;
                    self.newline(at);
                }
                b'#' => self.skip_line(),
                _ => {
                    self.before_token(at, byte);
                    let inside = self.levels.last().map(|level| (level.opener.byte(), level.at));
                    match byte {
                        b'"' => self.string(),
                        b'a'..=b'z' | b'A'..=b'Z' | b'_' => self.word(),
                        b'0'..=b'9' => {
                            // Numbers with their units, so that `if` in `1if` is no word.
                            while self.at < self.end && is_name_byte(self.bytes[self.at]) {
                                self.at += 1;
                            }
                            self.last_significant = Some(self.at - 1);
                        }
                        b'(' => self.open(Opener::Paren),
                        b'[' => self.open(Opener::Bracket),
                        b'{' => self.open(Opener::Brace),
                        b')' | b']' | b'}' => self.close(byte),
                        _ => self.sign(byte),
                    }
                    if let Some(tokens) = &mut self.tokens {
                        tokens.push(Token { start: at, end: self.at, inside });
                    }
                }
            }
        }
        self.finish();
    }

    fn finish(&mut self) {
        let rest = self.current.range.start..self.end;
        if !rest.is_empty() {
            self.current.range = rest;
            let last = std::mem::replace(&mut self.current, Chunk { range: 0..0, depth: 0, over: None });
            self.chunks.push(last);
        }
    }

    fn skip_line(&mut self) {
        match self.bytes[self.at..self.end].iter().position(|byte| *byte == b'\n') {
            Some(length) => self.at += length,
            None => self.at = self.end,
        }
    }

    fn newline(&mut self, at: usize) {
        if self.last_significant.is_none() {
            return;
        }
        match self.levels.last() {
            None => {
                if self.pending.is_none() && !self.goes_on() {
                    self.pending = Some(at);
                }
            }
            Some(level) => {
                self.pending_inner = level.ifs + level.angles > 0 && level.opener == Opener::Brace && !self.goes_on();
                if self.wants_candidates && looks_like_item(&self.bytes[self.at..self.end]) {
                    self.candidates.push(self.at);
                }
            }
        }
    }

    /// Decides about a newline before this token: whether the line before it has ended.
    fn before_token(&mut self, at: usize, byte: u8) {
        if let Some(newline) = self.pending.take() {
            if !self.continues(at, byte) {
                self.forget_ifs();
                if !self.whole {
                    let next = Chunk { range: newline + 1..self.end, depth: 0, over: None };
                    let mut done = std::mem::replace(&mut self.current, next);
                    done.range.end = newline + 1;
                    self.chunks.push(done);
                    self.last_significant = None;
                }
            }
        } else if self.pending_inner {
            self.pending_inner = false;
            if !self.continues(at, byte) {
                self.forget_ifs();
            }
        }
    }

    /// Whether the line before a newline lets it go on: it ends with an operator, `=`, `=>`, `:`, `then`, `else` or `in`.
    fn goes_on(&self) -> bool {
        let Some(last) = self.last_significant else { return false };
        match self.bytes[last] {
            b'=' | b':' | b'+' | b'-' | b'*' | b'/' | b'<' | b'&' | b'|' | b'!' => true,
            b'>' => {
                // `a >` goes on, and so does `=>`; `list<string>` is at its end.
                last == self.start || matches!(self.bytes[last - 1], b' ' | b'\t' | b'=')
            }
            b'?' => last > self.start && self.bytes[last - 1] == b'?',
            b'.' => last > self.start && self.bytes[last - 1] == b'.',
            b'n' | b'e' => {
                let mut from = last + 1;
                while from > self.start && is_name_byte(self.bytes[from - 1]) {
                    from -= 1;
                }
                matches!(&self.bytes[from..=last], b"then" | b"else" | b"in")
            }
            _ => false,
        }
    }

    /// Whether a token at the beginning of a line continues the line before.
    fn continues(&self, at: usize, byte: u8) -> bool {
        let rest = &self.bytes[at..self.end];
        let second = rest.get(1).copied().unwrap_or(b' ');
        match byte {
            b'+' | b'-' | b'*' | b'/' | b'<' | b'>' | b'|' => true,
            b'&' => second == b'&',
            b'=' => second == b'=' || second == b'>',
            b'!' => second == b'=',
            b'?' => matches!(second, b'.' | b'?'),
            b'.' => !rest.starts_with(b"..."),
            // No item or entry begins with a brace: it was meant for the line before.
            b'{' => true,
            b't' | b'e' => word_of(rest) == b"then" || word_of(rest) == b"else",
            _ => false,
        }
    }

    /// An entry has ended on this level: what it nested counts no more.
    fn forget_ifs(&mut self) {
        match self.levels.last_mut() {
            Some(level) => {
                self.depth -= level.ifs + level.angles;
                (level.ifs, level.angles) = (0, 0);
            }
            None => {
                self.depth -= self.outer_ifs + self.outer_angles;
                (self.outer_ifs, self.outer_angles) = (0, 0);
            }
        }
    }

    fn word(&mut self) {
        let from = self.at;
        while self.at < self.end && is_name_byte(self.bytes[self.at]) {
            self.at += 1;
        }
        let word = &self.bytes[from..self.at];
        if self.at < self.end && self.bytes[self.at] == b'"' {
            // A tag; the string begins with it.
            return self.string_after(from, word == b"r");
        }
        if word == b"if" && !self.follows_else(from) {
            self.deeper(from);
            match self.levels.last_mut() {
                Some(level) => level.ifs += 1,
                None => self.outer_ifs += 1,
            }
        }
        self.last_significant = Some(self.at - 1);
    }

    fn follows_else(&self, at: usize) -> bool {
        let Some(last) = self.last_significant else { return false };
        last >= 3
            && last < at
            && self.bytes[last - 3..=last] == *b"else"
            && (last < 4 || last - 3 == self.start || !is_name_byte(self.bytes[last - 4]))
    }

    fn sign(&mut self, byte: u8) {
        let at = self.at;
        match byte {
            b',' => {
                self.before_last_comma = self.last_significant;
                self.forget_ifs();
            }
            b'<' if at > self.start && is_name_byte(self.bytes[at - 1]) => {
                self.deeper(at);
                match self.levels.last_mut() {
                    Some(level) => level.angles += 1,
                    None => self.outer_angles += 1,
                }
            }
            b'>' if at > self.start && self.bytes[at - 1] != b'=' => {
                let angles = match self.levels.last_mut() {
                    Some(level) => &mut level.angles,
                    None => &mut self.outer_angles,
                };
                if *angles > 0 {
                    *angles -= 1;
                    self.depth -= 1;
                }
            }
            _ => {}
        }
        self.at += 1;
        // The rest of a character that is no ASCII.
        while self.at < self.end && self.bytes[self.at] & 0xc0 == 0x80 {
            self.at += 1;
        }
        self.last_significant = Some(self.at - 1);
    }

    fn deeper(&mut self, at: usize) {
        self.depth += 1;
        self.current.depth = self.current.depth.max(self.depth);
        if self.depth > NESTING_MAX && self.current.over.is_none() {
            self.current.over = Some(Over::Nesting(at));
        }
    }

    fn open(&mut self, opener: Opener) {
        self.deeper(self.at);
        self.levels.push(Level { opener, at: self.at, ifs: 0, angles: 0 });
        self.last_significant = Some(self.at);
        self.at += 1;
    }

    fn close(&mut self, byte: u8) {
        let at = self.at;
        self.at += 1;
        self.last_significant = Some(at);
        let fits = |opener: Opener| match byte {
            b')' => opener == Opener::Paren,
            b']' => opener == Opener::Bracket,
            _ => matches!(opener, Opener::Brace | Opener::Interpolation(..)),
        };
        // A bracket that was never closed ends with the one around it. `)` and `]` do not reach past braces.
        let mut found = None;
        for (index, level) in self.levels.iter().enumerate().rev() {
            if fits(level.opener) {
                found = Some(index);
                break;
            }
            if matches!(level.opener, Opener::Brace | Opener::Interpolation(..)) {
                break;
            }
        }
        let Some(index) = found else {
            self.unclosed.get_or_insert(Unclosed::Stray { at });
            return;
        };
        if index + 1 < self.levels.len() {
            let at_open = self.levels[self.levels.len() - 1].at;
            self.unclosed.get_or_insert(Unclosed::Bracket { at: at_open, met: Some(at) });
        }
        while self.levels.len() > index + 1 {
            self.pop();
        }
        let level = self.pop();
        if let Opener::Interpolation(form, start) = level.opener {
            return self.string_text(form, start);
        }
        if self.levels.is_empty() && level.opener == Opener::Brace {
            self.outer_braces = Some((level.at, at));
        }
    }

    fn pop(&mut self) -> Level {
        let level = self.levels.pop().expect("the caller saw a level");
        self.depth -= 1 + level.ifs + level.angles;
        level
    }

    fn string(&mut self) {
        self.string_after(self.at, false);
    }

    /// A string whose tag, if it has one, begins at `start`; `self.at` is at its quote.
    fn string_after(&mut self, start: usize, raw: bool) {
        let tagged = self.at > start;
        let block = self.bytes[self.at..self.end].starts_with(b"\"\"\"");
        self.at += if block { 3 } else { 1 };
        if raw {
            return self.raw_text(block, start);
        }
        let form = if block { Form::Block { escapes: !tagged } } else { Form::Line { escapes: !tagged } };
        self.string_text(form, start);
    }

    fn raw_text(&mut self, block: bool, start: usize) {
        let rest = &self.bytes[self.at..self.end];
        let stop = if block {
            rest.windows(3).position(|three| three == b"\"\"\"").map(|length| length + 3)
        } else {
            rest.iter().position(|byte| matches!(byte, b'"' | b'\n')).filter(|at| rest[*at] == b'"').map(|length| length + 1)
        };
        match stop {
            Some(length) => {
                self.at += length;
                self.string_ends(start);
            }
            None => self.string_unclosed(block, start),
        }
    }

    fn string_text(&mut self, form: Form, start: usize) {
        let (block, escapes) = match form {
            Form::Line { escapes } => (false, escapes),
            Form::Block { escapes } => (true, escapes),
        };
        while self.at < self.end {
            match self.bytes[self.at] {
                b'"' if !block => {
                    self.at += 1;
                    return self.string_ends(start);
                }
                b'"' if self.bytes[self.at..self.end].starts_with(b"\"\"\"") => {
                    self.at += 3;
                    return self.string_ends(start);
                }
                b'\n' if !block => break,
                b'\\' if escapes => {
                    self.at += 1;
                    if self.at < self.end && (block || self.bytes[self.at] != b'\n') {
                        self.at += 1;
                    }
                }
                b'$' if self.bytes[self.at..self.end].starts_with(b"${") => {
                    if self.bytes[self.at..self.end].starts_with(b"${{") {
                        self.at += 3;
                        continue;
                    }
                    self.deeper(self.at);
                    self.levels.push(Level { opener: Opener::Interpolation(form, start), at: self.at, ifs: 0, angles: 0 });
                    self.at += 2;
                    self.last_significant = Some(self.at - 1);
                    return;
                }
                _ => self.at += 1,
            }
        }
        self.string_unclosed(block, start);
    }

    fn string_ends(&mut self, start: usize) {
        self.last_significant = Some(self.at - 1);
        if self.at - start > STRING_MAX && self.current.over.is_none() {
            self.current.over = Some(Over::StringLength(start));
        }
    }

    fn string_unclosed(&mut self, block: bool, start: usize) {
        let unclosed = match self.levels.last() {
            Some(Level { opener: Opener::Interpolation(Form::Line { .. }, _), at, .. }) if !block => {
                Unclosed::Bracket { at: *at, met: None }
            }
            _ => Unclosed::String { at: start, block },
        };
        self.unclosed.get_or_insert(unclosed);
        if block {
            self.at = self.end;
            self.unclosed_block = Some(start);
        } else {
            self.skip_line();
        }
        self.last_significant = Some(self.at.max(1) - 1);
    }
}

fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

fn word_of(bytes: &[u8]) -> &[u8] {
    let length = bytes.iter().take(8).position(|byte| !is_name_byte(*byte)).unwrap_or(bytes.len().min(8));
    &bytes[..length]
}

/// Whether a line begins, without indentation, like an item: two words, or a word and a quote, and no `=` between them.
fn looks_like_item(line: &[u8]) -> bool {
    if !line.first().is_some_and(|byte| byte.is_ascii_lowercase()) {
        return false;
    }
    let word = line.iter().take(256).position(|byte| !is_name_byte(*byte) && *byte != b'.').unwrap_or(line.len());
    let first = &line[..word];
    if matches!(first, b"if" | b"for" | b"else" | b"then" | b"match" | b"in") {
        return false;
    }
    let rest = &line[word..];
    let blanks = rest.iter().take(256).position(|byte| *byte != b' ').unwrap_or(0);
    blanks > 0 && (rest[blanks].is_ascii_lowercase() || rest[blanks] == b'"')
        || blanks > 0 && rest[blanks] == b'{' && matches!(first, b"moved" | b"adopt" | b"forget")
}
