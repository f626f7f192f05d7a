//! The name that was probably meant.

use std::cell::Cell;

/// Candidates that are looked at for one program: with very many mistakes in it, later ones get no proposal.
const LOOKED_AT_MAX: u32 = 5_000_000;

thread_local! {
    static LOOKED_AT: Cell<u32> = const { Cell::new(0) };
}

/// Begins with a new program.
pub fn start_over() {
    LOOKED_AT.set(0);
}

/// The candidate nearest to `name`, if one is near enough: a typing mistake away, not another word. The first of equally near
/// ones wins, so give candidates in a fixed order.
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let allowed = match name.chars().count() {
        0..=2 => 1,
        3..=5 => 2,
        long => long / 3 + 1,
    };
    let mut best: Option<(usize, &str)> = None;
    for candidate in candidates {
        let looked_at = LOOKED_AT.get();
        if looked_at >= LOOKED_AT_MAX {
            return None;
        }
        LOOKED_AT.set(looked_at + 1);
        if candidate.len().abs_diff(name.len()) > allowed || candidate == name {
            continue;
        }
        let distance = strsim::osa_distance(name, candidate);
        let shortest = name.len().min(candidate.len()).max(1);
        let near = distance <= allowed && distance * 2 <= shortest.max(2);
        if near && best.is_none_or(|(least, _)| distance < least) {
            best = Some((distance, candidate));
        }
    }
    best.map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn a_slip_of_the_fingers_finds_its_name_and_another_word_does_not() {
        let names = ["memory", "image", "port", "public"];
        assert_eq!(nearest("memroy", names), Some("memory"));
        assert_eq!(nearest("imge", names), Some("image"));
        assert_eq!(nearest("prot", names), Some("port"));
        assert_eq!(nearest("replicas", names), None);
        assert_eq!(nearest("x", names), None);
    }
}
