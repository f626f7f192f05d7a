//! Reads a log from disk and says whether it is whole.
//!
//! The head file is read before the segments, so that the log may only be longer than it. The last segment is always read and
//! its chain checked; segments before the asked one are left alone. A bad frame at the very end, with no whole frame after it
//! and beyond what the head vouches for, is a torn write, which the next writer cuts. Anything else is damage.

use std::path::{Path, PathBuf};

use rayon::prelude::*;

use super::head::{self, HeadFile, HeadRecord};
use super::replace::interrupted;
use super::segment::{self, Frame, SegmentHeader};
use crate::model::Digest;
use crate::state::contract::{Entry, FORMAT, Format, Head, Sequence, StoreError, StoreId};

/// A log as it was found.
pub struct Scan {
    pub end: Head,
    /// Where it ends: file, and offset behind the last whole frame.
    pub last: PathBuf,
    pub length: u64,
    /// Bytes of a torn write behind it.
    pub torn: u64,
    /// What the head file says.
    pub head: HeadRecord,
    /// Which of its two copies says so.
    pub head_slot: u64,
    pub head_slot_damaged: bool,
    /// Those that were asked for.
    pub entries: Vec<Entry>,
}

/// Reads the log in `dir`; entries from `from` on are kept. `None` where no log was ever made.
///
/// A reader may see a writer's frames out of order, page by page, so that damage has to show more than once.
pub fn scan(dir: &Path, from: Sequence) -> Result<Option<Scan>, StoreError> {
    scan_until_damage(dir, from).map_err(|(_, error)| error)
}

/// As [`scan`]; an error comes with the entries before it.
pub fn scan_until_damage(dir: &Path, from: Sequence) -> Result<Option<Scan>, (Vec<Entry>, StoreError)> {
    let mut attempts = 3;
    loop {
        attempts -= 1;
        let mut kept = Vec::new();
        match scan_once(dir, from, &mut kept) {
            Err(StoreError::Damaged { .. }) if attempts > 0 => {}
            Err(error) => return Err((kept, error)),
            Ok(found) => return Ok(found.map(|found| Scan { entries: kept, ..found })),
        }
    }
}

fn scan_once(dir: &Path, from: Sequence, kept: &mut Vec<Entry>) -> Result<Option<Scan>, StoreError> {
    let path = dir.join("head");
    let file = head::read(&path).map_err(|error| unavailable("read", &path, &error))?;
    let segments = segments(dir)?;
    let (head, head_slot, head_slot_damaged) = match file {
        HeadFile::Missing if segments.is_empty() && interrupted(dir) => {
            return Err(damaged(dir, "putting another log in its place was interrupted"));
        }
        HeadFile::Missing if segments.is_empty() => return Ok(None),
        HeadFile::Missing => return Err(damaged(&path, "it is missing, so that nobody can tell whether the log is whole")),
        HeadFile::Damaged => return Err(damaged(&path, "neither of its two copies can be read")),
        HeadFile::Present { newest, slot, one_damaged } => (newest, slot, one_damaged),
    };
    if head.format.major > FORMAT.major {
        return Err(newer(&head, head.format));
    }
    if segments.is_empty() {
        return match head.head {
            None => Ok(None),
            Some(said) => Err(damaged(dir, &format!("there are no segments, and the head says {} entries", said.sequence))),
        };
    }
    let wanted = segments.partition_point(|(first, _)| *first <= from).saturating_sub(1);
    let mut reader = Reader { head: &head, from, store: head.store, at: None, entries: kept, proved: false };
    let mut end = None;
    let asked = &segments[wanted..];
    // Some at a time, so that what was read lies beside what was made of it for a few of them only.
    for (nth, some) in asked.chunks(AT_ONCE).enumerate() {
        let read: Vec<_> = some.par_iter().map(|(_, path)| Segment::read(path, &head)).collect();
        for (at, ((first, path), segment)) in some.iter().zip(read).enumerate() {
            end = Some(reader.segment(*first, path, segment?, nth * AT_ONCE + at + 1 == asked.len())?);
        }
    }
    let (length, torn) = end.expect("there is a segment");
    let at = reader.at.expect("a segment was read");
    let last = segments.last().expect("there is a segment").1.clone();
    if let Some(said) = head.head {
        if at.sequence < said.sequence {
            let what = format!("the log ends after entry {}, and its head says {}", at.sequence, said.sequence);
            return Err(damaged(&last, &what));
        }
        if !reader.proved && said.sequence >= segments[wanted].0 {
            return Err(damaged(&last, &format!("entry {} is not the one that the head names", said.sequence)));
        }
    }
    Ok(Some(Scan { end: at, last, length, torn, head, head_slot, head_slot_damaged, entries: Vec::new() }))
}

struct Reader<'h> {
    head: &'h HeadRecord,
    from: Sequence,
    store: StoreId,
    /// The last entry that was read.
    at: Option<Head>,
    entries: &'h mut Vec<Entry>,
    /// The entry that the head names was met, with its hash.
    proved: bool,
}

/// So many segments are read beside each other.
const AT_ONCE: usize = 16;

/// What one segment holds, whatever stands before it.
struct Segment {
    header: SegmentHeader,
    /// Of each whole frame its end and its entries, up to the first that does not follow.
    frames: Vec<(Head, Vec<Entry>)>,
    /// What is wrong with the frame after them.
    broken: Option<StoreError>,
    /// Behind the last whole frame.
    offset: usize,
    rest: usize,
    /// In the rest there is another whole frame.
    goes_on: bool,
}

impl Segment {
    fn read(path: &Path, head: &HeadRecord) -> Result<Segment, StoreError> {
        let bytes = std::fs::read(path).map_err(|error| unavailable("read", path, &error))?;
        let header = SegmentHeader::parse(&bytes).ok_or_else(|| damaged_at(path, 0, "the header cannot be read"))?;
        if header.format.major > FORMAT.major {
            return Err(newer(head, header.format));
        }
        let mut offset = segment::HEADER;
        let mut frames = Vec::new();
        while let Some((frame, length)) = bytes.get(offset..).and_then(Frame::parse) {
            frames.push((offset, frame));
            offset += length;
        }
        let rest = &bytes[offset..];
        let (whole, broken) = match header.first.checked_sub(1) {
            Some(before) => unpacked(&frames, Head { sequence: before, hash: header.previous }, path, head),
            None => (Vec::new(), None),
        };
        Ok(Segment { header, frames: whole, broken, offset, rest: rest.len(), goes_on: segment::has_later_frame(rest) })
    }
}

/// Each frame names the hash that it leads to, so that all of a segment are unpacked and checked at once.
fn unpacked(
    frames: &[(usize, Frame<'_>)],
    begin: Head,
    path: &Path,
    head: &HeadRecord,
) -> (Vec<(Head, Vec<Entry>)>, Option<StoreError>) {
    let places = frames.iter().map(|(_, frame)| Head { sequence: frame.last(), hash: frame.hash });
    let before: Vec<Head> = std::iter::once(begin).chain(places).collect();
    let read: Vec<Option<Vec<Entry>>> = frames
        .par_iter()
        .zip(&before)
        .map(|((_, frame), at)| {
            let readable = frame.format.major <= FORMAT.major && frame.first == at.sequence.checked_add(1)?;
            readable.then(|| frame.entries(head.store, at.hash))?
        })
        .collect();
    let mut whole = Vec::with_capacity(frames.len());
    for (((offset, frame), entries), end) in frames.iter().zip(read).zip(&before[1..]) {
        if frame.format.major > FORMAT.major {
            return (whole, Some(newer(head, frame.format)));
        }
        match entries {
            Some(entries) => whole.push((*end, entries)),
            None => return (whole, Some(damaged_at(path, *offset, "the hash chain is broken here"))),
        }
    }
    (whole, None)
}

impl Reader<'_> {
    /// Takes one segment in; gives the offset behind its last whole frame, and how many torn bytes follow.
    fn segment(&mut self, first: Sequence, path: &Path, segment: Segment, is_last: bool) -> Result<(u64, u64), StoreError> {
        let header = segment.header;
        let follows = self.at.is_none_or(|at| at.sequence + 1 == first && at.hash == header.previous);
        let begins = first > 1 || header.previous == Head::NONE;
        if header.first != first || header.store != self.store || !follows || !begins {
            return Err(damaged_at(path, 0, "it does not follow the segment before"));
        }
        self.at = Some(Head { sequence: first - 1, hash: header.previous });
        self.prove(first - 1, header.previous);
        for (end, entries) in segment.frames {
            self.frame(end, entries);
        }
        if let Some(error) = segment.broken {
            return Err(error);
        }
        let vouched = self.head.head.is_some_and(|said| self.at.is_some_and(|at| at.sequence < said.sequence));
        if segment.rest > 0 && (!is_last || vouched || segment.goes_on) {
            return Err(damaged_at(path, segment.offset, "the bytes do not agree with their checksum"));
        }
        if segment.offset == segment::HEADER {
            return Err(damaged_at(path, segment.offset, "there is no whole entry in it"));
        }
        Ok((segment.offset as u64, segment.rest as u64))
    }

    fn frame(&mut self, end: Head, entries: Vec<Entry>) {
        for entry in &entries {
            if self.head.head.is_some_and(|said| said.sequence == entry.header.sequence) {
                self.prove(entry.header.sequence, entry.hash());
            }
        }
        self.at = Some(end);
        self.entries.extend(entries.into_iter().filter(|entry| entry.header.sequence >= self.from));
    }

    fn prove(&mut self, sequence: Sequence, hash: Digest) {
        self.proved |= self.head.head == Some(Head { sequence, hash });
    }
}

/// The segment files by the sequence of their first entry, which names them; all from the first one on.
pub fn segments(dir: &Path) -> Result<Vec<(Sequence, PathBuf)>, StoreError> {
    let found = segments_of(dir)?;
    match found.first() {
        Some((first, path)) if *first != 1 => Err(damaged(path, "the segments before it are missing")),
        _ => Ok(found),
    }
}

/// The same, whichever are there.
pub fn segments_of(dir: &Path) -> Result<Vec<(Sequence, PathBuf)>, StoreError> {
    let listing = match std::fs::read_dir(dir) {
        Ok(listing) => listing,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(unavailable("read", dir, &error)),
    };
    let mut found = Vec::new();
    for file in listing {
        let path = file.map_err(|error| unavailable("read", dir, &error))?.path();
        if path.extension().is_some_and(|it| it == "log") {
            let first = path.file_stem().and_then(|stem| stem.to_str()?.parse().ok()).filter(|first| *first > 0);
            found.push((first.ok_or_else(|| damaged(&path, "no segment has such a name"))?, path));
        }
    }
    found.sort();
    Ok(found)
}

pub fn segment_path(dir: &Path, first: Sequence) -> PathBuf {
    dir.join(format!("{first:012}.log"))
}

fn newer(head: &HeadRecord, format: Format) -> StoreError {
    StoreError::Newer { format, engine: head.engine.clone(), revision: (head.revision > 0).then_some(head.revision) }
}

pub fn damaged(path: &Path, what: &str) -> StoreError {
    StoreError::Damaged { place: path.display().to_string(), what: what.into() }
}

fn damaged_at(path: &Path, offset: usize, what: &str) -> StoreError {
    StoreError::Damaged { place: format!("{}, byte {offset}", path.display()), what: what.into() }
}

pub fn unavailable(verb: &str, path: &Path, error: &std::io::Error) -> StoreError {
    StoreError::Unavailable { what: format!("{verb} {}", path.display()), why: words(error) }
}

/// What the system says, without its number.
pub fn words(error: &std::io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or(&text).to_lowercase()
}
