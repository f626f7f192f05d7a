//! Changes texts: sometimes byte by byte, mostly by tokens and lines, so that much of what comes out still is a program.

/// Words and signs of the language, and what breaks others' parsers.
#[rustfmt::skip]
const WORDS: &[&str] = &[
    "stack", "environment", "provider", "input", "secret", "let", "output", "signal", "type", "fn", "import", "component", "on",
    "resource", "data", "shared", "rollout", "require", "policy", "test", "moved", "adopt", "forget", "if", "else", "then", "for",
    "in", "match", "true", "false", "null", "up to", "within", "as", "expect", "step", "given", "lifecycle", "variant",
    "sensitive", "string", "int", "number", "bool", "duration", "size", "percent", "rate", "money", "instant", "list<", "map<",
    "range<", "secret<", "ref<", "metric<", "any", "condition", "path", "cidr", "env.name", "stack.name", "self.name", "self.key",
    "input.a", "secret.s.value", "local.value", "local.value.a.id", "instances(a)", "provider.network", "a", "b", "x", "_", "local",
    "{", "}", "[", "]", "(", ")", "<", ">", "=", "==", "=>", "!=", "<=", ">=", "??", "||", "&&", "!", "-", "+", "*", "/", "..",
    "...", ".", "?.", "?[", "?", ":", ",", "|", "\n", " ", "\t", "\r\n", "#", "##", "\"", "\"\"\"", "r\"", "re\"", "promql\"",
    "${", "${{", "\\", "\\n", "\\u{1f600}", "\\$", "0", "1", "-1", "9223372036854775807", "0.1", "1e9", "30s", "1h30m", "1ns",
    "256MiB", "1PiB", "70%", "100/s", "15.50EUR", "@2026-11-22T06:00Z", "1_000", "79228162514264337593543950335",
    "count(3)", "count(1000000)", "replace(", "join(", "merge(", "json_decode(", "json_encode(", "regex(", "regex_all(", "format(", "range(",
    "flatten(", "sort(", "keys(", "text(", "fail(", "reveal(", "sha256(", "substr(", "indent(", "split(", "template(", "file(",
    "sum(", "min(", "floor(", "parse_int(", "cidr_subnet(", "base64_decode(", "yaml_encode(", "plain(", "secrets(", "zipmap(",
    "é", "\u{202e}", "\u{0}", "\u{7f}", "\u{feff}", "𝒳", "\u{fffd}",
];

/// No input is longer, in bytes.
const LENGTH_MAX: usize = 4 << 10;

pub struct Mutator {
    state: u64,
}

impl Mutator {
    pub fn new(seed: u64) -> Mutator {
        Mutator { state: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1 }
    }

    /// Another input, made from those that there are.
    pub fn next(&mut self, pool: &[Vec<u8>]) -> Vec<u8> {
        let mut input = self.of(pool).clone();
        // Small ones are tried faster, and hold the same mistakes.
        if input.len() > 300 && self.below(8) > 0 {
            input = self.window(input);
        }
        for _ in 0..=self.below(4) {
            input = match self.below(16) {
                0 => self.bytes(input),
                1 => self.splice(input, pool),
                2 => self.lines(input, pool),
                3 => self.nest(input),
                _ => self.tokens(input, pool),
            };
        }
        input.truncate(LENGTH_MAX);
        input
    }

    fn below(&mut self, bound: usize) -> usize {
        // xorshift64*
        self.state ^= self.state >> 12;
        self.state ^= self.state << 25;
        self.state ^= self.state >> 27;
        (self.state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % bound.max(1)
    }

    fn of<'p>(&mut self, pool: &'p [Vec<u8>]) -> &'p Vec<u8> {
        // Newer ones are better known to lead somewhere.
        let at = match self.below(2) {
            0 => self.below(pool.len()),
            _ => pool.len() - 1 - self.below(pool.len().min(64)),
        };
        &pool[at]
    }

    /// Some lines of it.
    fn window(&mut self, input: Vec<u8>) -> Vec<u8> {
        let lines: Vec<&[u8]> = input.split_inclusive(|byte| *byte == b'\n').collect();
        let from = self.below(lines.len());
        let length = 1 + self.below(10);
        lines[from..].iter().take(length).flat_map(|line| line.iter().copied()).take(400).collect()
    }

    fn bytes(&mut self, mut input: Vec<u8>) -> Vec<u8> {
        for _ in 0..=self.below(4) {
            let at = self.below(input.len() + 1);
            match self.below(3) {
                0 => input.insert(at, self.below(256) as u8),
                1 if at < input.len() => input[at] ^= 1 << self.below(8),
                _ if at < input.len() => drop(input.remove(at)),
                _ => {}
            }
        }
        input
    }

    /// The beginning of one and the end of another.
    fn splice(&mut self, mut input: Vec<u8>, pool: &[Vec<u8>]) -> Vec<u8> {
        let other = self.of(pool);
        let (cut, from) = (self.below(input.len() + 1), self.below(other.len() + 1));
        input.truncate(cut);
        input.extend_from_slice(&other[from..]);
        input
    }

    /// A line is doubled, left out, moved or taken from elsewhere.
    fn lines(&mut self, input: Vec<u8>, pool: &[Vec<u8>]) -> Vec<u8> {
        let mut lines: Vec<&[u8]> = input.split_inclusive(|byte| *byte == b'\n').collect();
        let at = self.below(lines.len() + 1);
        let other = self.of(pool);
        match self.below(4) {
            0 if at < lines.len() => lines.insert(at, lines[at]),
            1 if at < lines.len() => drop(lines.remove(at)),
            2 if at < lines.len() => {
                let line = lines.remove(at);
                let to = self.below(lines.len() + 1);
                lines.insert(to, line);
            }
            _ => {
                let others: Vec<&[u8]> = other.split_inclusive(|byte| *byte == b'\n').collect();
                if !others.is_empty() {
                    let from = self.below(others.len());
                    let to = (from + 1 + self.below(4)).min(others.len());
                    let mut made: Vec<&[u8]> = lines[..at].to_vec();
                    made.extend(&others[from..to]);
                    made.extend(&lines[at..]);
                    return made.concat();
                }
            }
        }
        lines.concat()
    }

    /// What lies between two places stands in itself many times over.
    fn nest(&mut self, input: Vec<u8>) -> Vec<u8> {
        let tokens = tokens(&input);
        let from = self.below(tokens.len());
        let to = (from + 1 + self.below(6)).min(tokens.len());
        let part: Vec<u8> = tokens.get(from..to).unwrap_or_default().concat();
        let times = match self.below(64) {
            0 => 400,
            1 => 130,
            2..6 => 40,
            _ => 2 + self.below(4),
        };
        let mut made: Vec<u8> = tokens[..from.min(tokens.len())].concat();
        made.extend(part.repeat(times));
        made.extend(tokens.get(from..).unwrap_or_default().concat());
        made
    }

    fn tokens(&mut self, input: Vec<u8>, pool: &[Vec<u8>]) -> Vec<u8> {
        let other = self.of(pool);
        let mut all = tokens(&input);
        let at = self.below(all.len() + 1);
        let end = (at + 1 + self.below(3)).min(all.len());
        let word = WORDS[self.below(WORDS.len())].as_bytes();
        match self.below(6) {
            0 => all.insert(at, word),
            1 if at < all.len() => all[at] = word,
            2 if at < end => drop(all.drain(at..end)),
            3 if at < end => {
                let taken: Vec<&[u8]> = all[at..end].to_vec();
                let to = self.below(all.len() + 1);
                all.splice(to..to, taken);
            }
            4 if at < all.len() => {
                let with = self.below(all.len());
                all.swap(at, with);
            }
            _ => {
                let others = tokens(other);
                if !others.is_empty() {
                    let from = self.below(others.len());
                    let to = (from + 1 + self.below(12)).min(others.len());
                    let mut made: Vec<&[u8]> = all[..at].to_vec();
                    made.extend(&others[from..to]);
                    made.extend(&all[if self.below(2) == 0 { at } else { end.max(at) }..]);
                    return made.concat();
                }
            }
        }
        all.concat()
    }
}

/// Words, runs of blanks, and signs.
fn tokens(input: &[u8]) -> Vec<&[u8]> {
    let sort = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' => 1,
        b' ' | b'\t' => 2,
        0x80.. => 3,
        _ => 0,
    };
    let (mut all, mut at) = (Vec::new(), 0);
    while at < input.len() {
        let kind = sort(input[at]);
        let mut end = at + 1;
        while kind != 0 && end < input.len() && sort(input[end]) == kind {
            end += 1;
        }
        all.push(&input[at..end]);
        at = end;
    }
    all
}
