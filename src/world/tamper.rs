//! Seeded edits of bytes, as somebody who means harm or a bad disk would make them. For tests: `TAMPER=10000` makes as many of them,
//! `TAMPER_SEED` begins with another seed. Each failure prints the seed of its edit.

/// Numbers that follow from a seed.
pub struct Dice(u64);

impl Dice {
    pub fn of(seed: u64) -> Dice {
        Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x5851_f42d_4c95_7f2d)
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Below `end`, which is not 0.
    pub fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }
}

/// The seeds of as many edits as `TAMPER` says, else `usual`.
pub fn seeds(usual: u64) -> std::ops::Range<u64> {
    let number = |name: &str| std::env::var(name).ok().map(|it| it.parse::<u64>().expect("a number"));
    let begin = number("TAMPER_SEED").unwrap_or(0);
    begin..begin + number("TAMPER").unwrap_or(usual)
}

/// The bytes with one edit: a bit, a byte, a piece taken out, put in, doubled, exchanged or zeroed, an end cut off. They differ.
pub fn edited(bytes: &[u8], dice: &mut Dice) -> Vec<u8> {
    loop {
        let mut out = bytes.to_vec();
        let at = dice.below(out.len().max(1));
        let length = (1 + dice.below(40)).min(out.len() - at);
        match dice.below(8) {
            _ if out.is_empty() => out.push(dice.next() as u8),
            0 | 1 => out[at] ^= 1 << dice.below(8),
            2 => out[at] = dice.next() as u8,
            3 => drop(out.drain(at..at + length)),
            4 => drop(out.splice(at..at, (0..length).map(|_| dice.next() as u8))),
            5 => {
                let piece = out[at..at + length].to_vec();
                let to = dice.below(out.len());
                drop(out.splice(to..to, piece));
            }
            6 => {
                let other = dice.below(out.len());
                let length = length.min(out.len() - other);
                for step in 0..length {
                    out.swap(at + step, other + step);
                }
            }
            _ if dice.below(2) == 0 => out[at..at + length].fill(0),
            _ => out.truncate(at),
        }
        if out != bytes {
            return out;
        }
    }
}
