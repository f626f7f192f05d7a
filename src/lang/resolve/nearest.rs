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
    near(name, candidates).map(|it| it.name)
}

/// A name that is near to another one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Near<'a> {
    pub name: &'a str,
    /// A slip of the fingers away, and no other candidate is as near: nothing else can have been meant.
    pub sure: bool,
}

/// As [`nearest`], and how sure that is.
pub fn near<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<Near<'a>> {
    let length = name.chars().count();
    let allowed = match length {
        0..=2 => 1,
        3..=5 => 2,
        long => long / 3 + 1,
    };
    let mut best: Option<(usize, &str)> = None;
    let mut alone = true;
    let snake = snake_case(name);
    for candidate in candidates {
        let looked_at = LOOKED_AT.get();
        if looked_at >= LOOKED_AT_MAX {
            return None;
        }
        LOOKED_AT.set(looked_at + 1);
        if candidate == snake && candidate != name {
            return Some(Near { name: candidate, sure: true });
        }
        if candidate.len().abs_diff(name.len()) > allowed || candidate == name {
            continue;
        }
        let distance = strsim::osa_distance(name, candidate);
        let shortest = name.len().min(candidate.len()).max(1);
        let near = distance <= allowed && distance * 2 <= shortest.max(2);
        match best {
            _ if !near => {}
            Some((least, other)) if distance == least => alone &= candidate == other,
            Some((least, _)) if distance > least => {}
            _ => (best, alone) = (Some((distance, candidate)), true),
        }
    }
    best.map(|(distance, name)| Near { name, sure: alone && length > 2 && distance <= 1 + length / 8 })
}

/// A name as it is written here: `dbName` and `db-name` are `db_name`.
pub fn snake_case(name: &str) -> String {
    let mut out = String::with_capacity(name.len() + 4);
    let mut after_lower = false;
    for c in name.chars() {
        if c.is_ascii_uppercase() && after_lower {
            out.push('_');
        }
        after_lower = c.is_ascii_lowercase() || c.is_ascii_digit();
        out.push(if c == '-' { '_' } else { c.to_ascii_lowercase() });
    }
    out
}

#[cfg(test)]
mod tests {
    use super::{near, nearest};

    #[test]
    fn a_slip_of_the_fingers_finds_its_name_and_another_word_does_not() {
        let names = ["memory", "image", "port", "public"];
        assert_eq!(nearest("memroy", names), Some("memory"));
        assert_eq!(nearest("imge", names), Some("image"));
        assert_eq!(nearest("prot", names), Some("port"));
        assert_eq!(nearest("replicas", names), None);
        assert_eq!(nearest("x", names), None);
    }

    #[test]
    fn only_one_slip_to_only_one_name_is_sure() {
        let sure = |name, names: &[&'static str]| near(name, names.iter().copied()).map(|it| (it.name, it.sure));
        assert_eq!(sure("memroy", &["memory", "image"]), Some(("memory", true)));
        assert_eq!(sure("latency_p59", &["latency_p50", "latency_p95"]), Some(("latency_p50", false)));
        assert_eq!(sure("b", &["a"]), Some(("a", false)));
        assert_eq!(sure("dbName", &["db_names", "db_name"]), Some(("db_name", true)));
        assert_eq!(sure("imaeg", &["image", "imageg"]), Some(("image", false)));
    }
}
