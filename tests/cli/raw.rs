//! Looks for secrets in raw bytes, in every writing that text and programs give them; what is packed is unpacked first.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};

/// How many bytes a pattern begins with that it is looked up by.
const HEAD: usize = 8;

/// Secrets in all their writings.
#[derive(Default)]
pub struct Canaries {
    by_head: HashMap<[u8; HEAD], Vec<(String, Vec<u8>)>>,
    pub count: usize,
}

impl Canaries {
    /// `name` is said where it is found; the secret has 8 bytes or more.
    pub fn add(&mut self, name: &str, secret: &[u8]) {
        assert!(secret.len() >= HEAD, "`{name}` is too short to be told from chance");
        self.count += 1;
        for (writing, pattern) in writings(secret) {
            let head = *pattern.first_chunk::<HEAD>().expect("no writing is shorter than what it writes");
            let all = self.by_head.entry(head).or_default();
            if !all.iter().any(|(_, known)| *known == pattern) {
                all.push((format!("{name}, {writing}"), pattern));
            }
        }
    }

    /// The first that is in the bytes: which secret, and how it is written.
    pub fn found_in(&self, bytes: &[u8]) -> Option<&str> {
        bytes.windows(HEAD).enumerate().find_map(|(at, head)| {
            let all = self.by_head.get(head)?;
            all.iter().find(|(_, pattern)| bytes[at..].starts_with(pattern)).map(|(name, _)| name.as_str())
        })
    }
}

fn writings(secret: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let hex: String = secret.iter().map(|byte| format!("{byte:02x}")).collect();
    let mut all = vec![("plain", secret.to_vec()), ("hex", hex.to_uppercase().into_bytes()), ("hex", hex.into_bytes())];
    for before in 0..3 {
        // What a secret looks like inside of a longer text that begins 0, 1 or 2 bytes earlier; its own characters only.
        let shifted = [&vec![0; before][..], secret].concat();
        let (first, end) = (before * 8_usize, shifted.len() * 8);
        let own = first.div_ceil(6)..end / 6;
        for (name, engine) in [("base64", &STANDARD), ("base64 for URLs", &URL_SAFE)] {
            all.push((name, engine.encode(&shifted).as_bytes()[own.clone()].to_vec()));
        }
    }
    if let Ok(text) = std::str::from_utf8(secret) {
        let percent = |upper: bool| {
            let escaped = |byte: &u8| match byte {
                byte if byte.is_ascii_alphanumeric() || b"-._~".contains(byte) => char::from(*byte).to_string(),
                byte if upper => format!("%{byte:02X}"),
                byte => format!("%{byte:02x}"),
            };
            secret.iter().map(escaped).collect::<String>().into_bytes()
        };
        all.extend([("URL", percent(true)), ("URL", percent(false))]);
        let json = serde_json::to_string(text).expect("text is JSON");
        all.push(("JSON", json.trim_matches('"').as_bytes().to_vec()));
        let twice = serde_json::to_string(json.trim_matches('"')).expect("text is JSON");
        all.push(("JSON in JSON", twice.trim_matches('"').as_bytes().to_vec()));
        all.push(("shell", text.replace('\'', "'\\''").into_bytes()));
    }
    all
}

/// The bytes of a file, and those of everything that is packed in it.
pub fn unpacked(bytes: Vec<u8>) -> (Vec<Vec<u8>>, usize) {
    let mut parts = Vec::new();
    if bytes.starts_with(b"SWLG") {
        let mut at = 68;
        while let Some(frame) = bytes.get(at..).filter(|rest| rest.starts_with(b"SWFR") && rest.len() >= 65) {
            let number = |place: usize| u32::from_le_bytes(*frame[place..].first_chunk().expect("a header is longer")) as usize;
            let (packed, stored, whole) = (frame[8] == 1, number(9), number(13));
            if packed {
                let payload = &frame[65..65 + stored];
                parts.push(lz4_flex::block::decompress(payload, whole).expect("a frame unpacks"));
            }
            at += 65 + stored;
        }
        assert_eq!(at, bytes.len(), "the whole segment was read");
    }
    if bytes.starts_with(b"SWSNAP\0") {
        let header = 8 + 8 + 32 + 32 + 8;
        let whole = u64::from_le_bytes(*bytes[header - 8..].first_chunk().expect("a header is longer")) as usize;
        parts.push(lz4_flex::block::decompress(&bytes[header..], whole).expect("a snapshot unpacks"));
    }
    if bytes.starts_with(b"{\"schema\":\"stackwright.state-") {
        for line in String::from_utf8_lossy(&bytes).lines().filter_map(|line| line.strip_prefix("{\"snapshot\":\"")) {
            let packed = STANDARD.decode(line.trim_end_matches("\"}")).expect("a snapshot in base64");
            parts.extend(unpacked(packed).0);
        }
    }
    let count = parts.len();
    parts.push(bytes);
    (parts, count)
}

/// All files below a directory, ordered.
pub fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).expect("a directory can be read") {
        let path = entry.expect("an entry can be read").path();
        if path.is_dir() && !path.is_symlink() {
            found.extend(files(&path));
        } else if path.is_file() {
            found.push(path);
        }
    }
    found.sort();
    found
}

#[test]
fn a_canary_is_found_in_each_of_its_writings_and_nowhere_else() {
    let secret = "it's a \"se/cret\"+?\u{e9}\n";
    let mut canaries = Canaries::default();
    canaries.add("canary", secret.as_bytes());
    let json = serde_json::to_string(&format!("x{secret}y")).expect("JSON");
    let hex = |text: &str| text.bytes().map(|byte| format!("{byte:02x}")).collect::<String>();
    let mut shown = vec![
        format!("before {secret} after").into_bytes(),
        format!("\x00{}", hex(secret)).into_bytes(),
        hex(secret).to_uppercase().into_bytes(),
        json.clone().into_bytes(),
        serde_json::to_string(&json).expect("JSON").into_bytes(),
        format!("'{}'", secret.replace('\'', "'\\''")).into_bytes(),
        b"it%27s%20a%20%22se%2Fcret%22%2B%3F%C3%A9%0A".to_vec(),
        b"it%27s%20a%20%22se%2fcret%22%2b%3f%c3%a9%0a".to_vec(),
    ];
    for before in ["", "u", "us", "use"] {
        for after in ["", "r", "r:", "r:x"] {
            let longer = format!("{before}{secret}{after}");
            shown.extend([STANDARD.encode(&longer).into_bytes(), URL_SAFE.encode(&longer).into_bytes()]);
        }
    }
    for bytes in &shown {
        assert!(canaries.found_in(bytes).is_some(), "not found in {:?}", String::from_utf8_lossy(bytes));
    }
    for other in ["it's a secret", "aXQncyBhIHNlY3JldA==", "SW0401 the value is secret"] {
        assert_eq!(canaries.found_in(other.as_bytes()), None, "{other}");
    }
}
