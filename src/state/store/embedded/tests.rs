//! What happens to a log whose disk, or whose bytes, are not well.

use std::path::{Path, PathBuf};

use super::Embedded;
use super::faults::Fault;
use super::head::SLOT;
use super::segment::{HEADER, SegmentHeader};
use crate::model::Digest;
use crate::state::contract::{Entry, Format, Head, Liveness, Store, StoreError, StoreId};
use crate::state::store::promises::{entries, entry};

/// A log of three appends in `segments` files, and what was appended.
async fn small_log(dir: &Path, segments: usize) -> Vec<Entry> {
    let store = Embedded::with_segments_of(dir.to_owned(), if segments > 1 { 1 } else { 1 << 20 });
    let mut all: Vec<Entry> = Vec::new();
    for bodies in [&["{\"a\":1}", "{\"b\":2}"][..], &["{\"c\":3}"], &["{\"d\":4}", "{\"e\":5}"]] {
        let head = all.last().map(Entry::head);
        let news = entries(head, bodies);
        store.append(head, news.clone()).await.expect("an append");
        all.extend(news);
    }
    all
}

fn logs(dir: &Path) -> Vec<PathBuf> {
    super::scan::segments(dir).expect("segments").into_iter().map(|(_, path)| path).collect()
}

pub fn scratch() -> tempfile::TempDir {
    tempfile::tempdir().expect("a directory")
}

fn is_damaged<T: std::fmt::Debug>(result: &Result<T, StoreError>) -> bool {
    matches!(result, Err(StoreError::Damaged { .. }))
}

#[tokio::test]
async fn a_flipped_byte_is_found_wherever_it_is() {
    for segments in [1, 3] {
        let dir = scratch();
        let all = small_log(dir.path(), segments).await;
        assert_eq!(logs(dir.path()).len(), segments);
        let store = Embedded::at(dir.path().to_owned());
        for path in logs(dir.path()) {
            let bytes = std::fs::read(&path).expect("a segment");
            for at in 0..bytes.len() {
                for bit in [0x01, 0x80] {
                    let mut flipped = bytes.clone();
                    flipped[at] ^= bit;
                    std::fs::write(&path, &flipped).expect("a segment");
                    let read = store.read(1).await;
                    let newer = matches!(read, Err(StoreError::Newer { .. }));
                    assert!(is_damaged(&read) && !newer, "{}, byte {at}: {read:?}", path.display());
                }
            }
            std::fs::write(&path, &bytes).expect("a segment");
        }
        assert_eq!(store.read(1).await.expect("it is whole again"), all);

        // Of the head one copy is enough, and `verify` says that the other is gone.
        let path = dir.path().join("head");
        let bytes = std::fs::read(&path).expect("a head");
        for at in 0..bytes.len() {
            let mut flipped = bytes.clone();
            flipped[at] ^= 1;
            std::fs::write(&path, &flipped).expect("a head");
            assert_eq!(store.read(1).await.expect("the log is whole"), all, "byte {at}");
            assert_eq!(store.remarks().await.expect("remarks").len(), 1, "byte {at}");
        }
        std::fs::write(&path, vec![b' '; 2 * SLOT]).expect("a head");
        assert!(is_damaged(&store.read(1).await));
        std::fs::remove_file(&path).expect("no head");
        assert!(is_damaged(&store.read(1).await), "a missing head is not a new beginning");
        assert!(is_damaged(&store.append(None, entries(None, &["{}"])).await));
    }
}

#[tokio::test]
async fn a_log_that_is_shorter_than_its_head_is_damaged_wherever_it_ends() {
    let dir = scratch();
    small_log(dir.path(), 1).await;
    let path = logs(dir.path()).remove(0);
    let bytes = std::fs::read(&path).expect("a segment");
    let store = Embedded::at(dir.path().to_owned());
    for length in 0..bytes.len() {
        std::fs::write(&path, &bytes[..length]).expect("a segment");
        let read = store.read(1).await;
        assert!(is_damaged(&read), "{length} bytes: {read:?}");
    }
    std::fs::remove_file(&path).expect("no segment");
    assert!(is_damaged(&store.read(1).await));
}

#[tokio::test]
async fn a_torn_write_beyond_the_head_is_cut_and_nothing_before_it() {
    let dir = scratch();
    let all = small_log(dir.path(), 1).await;
    let path = logs(dir.path()).remove(0);
    let whole = std::fs::read(&path).expect("a segment");
    let head = std::fs::read(dir.path().join("head")).expect("a head");
    let end = all.last().map(Entry::head);
    let news = entries(end, &["{\"f\":6}", "{\"g\":7}"]);
    Embedded::at(dir.path().to_owned()).append(end, news.clone()).await.expect("an append");
    let longer = std::fs::read(&path).expect("a segment");

    // A crash at any byte of the last append, before the head was written.
    for length in whole.len()..=longer.len() {
        std::fs::write(dir.path().join("head"), &head).expect("a head");
        std::fs::write(&path, &longer[..length]).expect("a segment");
        let store = Embedded::at(dir.path().to_owned());
        let kept = store.read(1).await.expect("a torn write is no damage");
        match length == longer.len() {
            true => assert_eq!(kept, [all.clone(), news.clone()].concat(), "the longer log wins, since the chain proves it"),
            false => assert_eq!(kept, all, "{length} bytes"),
        }
        assert_eq!(store.remarks().await.expect("remarks").len(), usize::from(length > whole.len() && length < longer.len()));
        // The next writer cuts it, and goes on.
        let end = kept.last().map(Entry::head);
        let more = entries(end, &["{\"h\":8}"]);
        store.append(end, more.clone()).await.expect("an append");
        assert_eq!(store.read(1).await.expect("entries"), [kept, more].concat());
    }

    // The same with zeros or other rubbish behind the end.
    for rubbish in [&[0; 100][..], b"SWFR and more"] {
        std::fs::write(dir.path().join("head"), &head).expect("a head");
        std::fs::write(&path, [&whole, rubbish].concat()).expect("a segment");
        assert_eq!(Embedded::at(dir.path().to_owned()).read(1).await.expect("entries"), all);
    }

    // But a bad frame that a whole one follows was not torn.
    std::fs::write(dir.path().join("head"), &head).expect("a head");
    let mut flipped = longer.clone();
    flipped[whole.len() + 70] ^= 1;
    let last = &longer[whole.len()..];
    std::fs::write(&path, [&flipped[..], last].concat()).expect("a segment");
    assert!(is_damaged(&Embedded::at(dir.path().to_owned()).read(1).await));
}

#[tokio::test]
async fn swapped_repeated_and_missing_parts_break_the_chain() {
    let dir = scratch();
    small_log(dir.path(), 3).await;
    let paths = logs(dir.path());
    let bytes: Vec<_> = paths.iter().map(|path| std::fs::read(path).expect("a segment")).collect();
    let store = Embedded::at(dir.path().to_owned());
    let restore = || paths.iter().zip(&bytes).for_each(|(path, bytes)| std::fs::write(path, bytes).expect("a segment"));
    for (at, from) in [(0, 1), (1, 2), (2, 1), (2, 0)] {
        std::fs::write(&paths[at], &bytes[from]).expect("a segment");
        assert!(is_damaged(&store.read(1).await), "{from} in the place of {at}");
        restore();
    }
    for path in &paths {
        std::fs::remove_file(path).expect("a segment goes");
        assert!(is_damaged(&store.read(1).await), "{} is missing", path.display());
        restore();
    }
    // A frame once more at the end.
    std::fs::write(&paths[2], [&bytes[2], &bytes[2][HEADER..]].concat()).expect("a segment");
    assert!(is_damaged(&store.read(1).await));
    restore();
    // A log of another store with the same sequences.
    let other = scratch();
    let mut foreign = entry(None, "write", "{}");
    foreign.header.store = StoreId([8; 16]);
    Embedded::at(other.path().to_owned()).append(None, vec![foreign]).await.expect("an append");
    std::fs::copy(&logs(other.path())[0], &paths[0]).expect("a segment");
    assert!(is_damaged(&store.read(1).await));
}

#[tokio::test]
async fn a_newer_format_is_named_and_nothing_is_written() {
    let dir = scratch();
    let all = small_log(dir.path(), 1).await;
    let path = logs(dir.path()).remove(0);
    let bytes = std::fs::read(&path).expect("a segment");
    let header = SegmentHeader::parse(&bytes).expect("a header");
    let newer = SegmentHeader { format: Format { major: 9, minor: 2 }, ..header };
    std::fs::write(&path, [&newer.bytes(), &bytes[HEADER..]].concat()).expect("a segment");
    let store = Embedded::at(dir.path().to_owned());
    let before = std::fs::read(&path).expect("a segment");
    let end = all.last().map(Entry::head);
    let (read, written) = (store.read(1).await, store.append(end, entries(end, &["{}"])).await);
    for result in [read.map(drop), written.map(drop)] {
        assert!(matches!(result, Err(StoreError::Newer { format: Format { major: 9, .. }, .. })), "{result:?}");
    }
    assert_eq!(std::fs::read(&path).expect("a segment"), before);
}

#[tokio::test]
async fn when_any_operation_on_disk_fails_an_append_is_there_whole_or_not_at_all() {
    const ENOSPC: i32 = 28;
    const EIO: i32 = 5;
    const EROFS: i32 = 30;
    let faults =
        [Fault::Half(ENOSPC), Fault::Clean(ENOSPC), Fault::Half(EIO), Fault::Clean(EIO), Fault::Clean(EROFS), Fault::Kill];
    for fault in faults {
        for segment_max in [1, 1 << 20] {
            let mut operations = 0;
            // Both the making of a log and every kind of append to it; until a fault comes too late to be met.
            loop {
                let dir = scratch();
                let store = Embedded::with_segments_of(dir.path().join("env"), segment_max);
                let mut acknowledged: Vec<Entry> = Vec::new();
                store.disk.faults.fail_after(operations, fault);
                let mut failed = None;
                for body in ["{\"a\":1}", "{\"b\":2}", "{\"c\":3}"] {
                    let head = acknowledged.last().map(Entry::head);
                    let news = entries(head, &[body]);
                    match store.append(head, news.clone()).await {
                        Ok(_) => acknowledged.extend(news),
                        Err(error) => {
                            failed = Some((news, error));
                            break;
                        }
                    }
                }
                let met = store.disk.faults.was_met();
                // A process whose disk did not confirm a write writes no more, even if the disk is well again.
                if let Some((_, StoreError::Unconfirmed { .. })) = &failed {
                    let head = acknowledged.last().map(Entry::head);
                    let again = store.append(head, entries(head, &["{\"d\":4}"])).await;
                    assert!(matches!(again, Err(StoreError::Unconfirmed { .. })), "operation {operations}: {again:?}");
                }
                let again = Embedded::with_segments_of(dir.path().join("env"), segment_max);
                let kept = again.read(1).await.unwrap_or_else(|error| panic!("{fault:?} at operation {operations}: {error}"));
                if let Some((news, error)) = failed {
                    let clear = matches!(error, StoreError::Unavailable { .. } | StoreError::Unconfirmed { .. });
                    assert!(clear, "{fault:?} at operation {operations}: {error:?}");
                    let with_news = [acknowledged.clone(), news].concat();
                    assert!(kept == acknowledged || kept == with_news, "{fault:?} at operation {operations}: {error}");
                } else {
                    assert_eq!(kept, acknowledged, "{fault:?} at operation {operations}");
                }
                // Whoever comes next can go on.
                let head = kept.last().map(Entry::head);
                again.append(head, entries(head, &["{\"z\":9}"])).await.expect("the disk is well again");
                assert_eq!(again.read(1).await.expect("entries").len(), kept.len() + 1);
                if !met {
                    break;
                }
                operations += 1;
            }
            assert!(operations > 10, "faults were met at {operations} places");
        }
    }
}

/// The same while a log is put in the place of another: either the old one is there, or the new one.
#[tokio::test]
async fn when_any_operation_fails_while_a_log_is_replaced_one_of_the_two_is_there() {
    for fault in [Fault::Half(28), Fault::Clean(5), Fault::Kill] {
        for operations in 0.. {
            let dir = scratch();
            let place = dir.path().join("env");
            let old = small_log(&place, 3).await;
            let new = [old[..3].to_vec(), entries(old.get(2).map(Entry::head), &["{\"new\":1}"])].concat();
            let store = Embedded::with_segments_of(place.clone(), 1);
            store.disk.faults.fail_after(operations, fault);
            let replaced = store.replace(&Default::default(), new.clone(), None).await;
            let kept = Embedded::at(place).read(1).await.expect("a log is there");
            match &replaced {
                Ok(aside) => {
                    assert_eq!(kept, new, "{fault:?} at operation {operations}");
                    assert_eq!(Embedded::at(aside.into()).read(1).await.expect("it is kept aside"), old);
                }
                // Once it is exchanged, only a sync can fail.
                Err(StoreError::Unconfirmed { .. }) if fault != Fault::Kill => {
                    assert!(kept == old || kept == new, "operation {operations}")
                }
                Err(error) => {
                    assert!(matches!(error, StoreError::Unavailable { .. } | StoreError::Unconfirmed { .. }), "{error:?}");
                    assert!(kept == old || (fault == Fault::Kill && kept == new), "{fault:?} at operation {operations}: {error}");
                }
            }
            if !store.disk.faults.was_met() {
                assert!(operations > 10, "faults were met at {operations} places");
                break;
            }
        }
    }
}

#[tokio::test]
async fn a_place_that_cannot_be_a_log_is_one_clear_error() {
    let dir = scratch();
    let file = dir.path().join("file");
    std::fs::write(&file, "").expect("a file");
    let store = Embedded::at(file.join("env"));
    let appended = store.append(None, entries(None, &["{}"])).await;
    assert!(matches!(&appended, Err(StoreError::Unavailable { what, .. }) if what.contains("env")), "{appended:?}");
    // A file of nothing where the log should be is no empty state.
    let dir = scratch();
    std::fs::write(dir.path().join("000000000001.log"), "").expect("a file");
    assert!(is_damaged(&Embedded::at(dir.path().to_owned()).read(1).await));
    std::fs::write(dir.path().join("head"), "").expect("a file");
    assert!(is_damaged(&Embedded::at(dir.path().to_owned()).read(1).await));
}

#[tokio::test]
async fn a_reader_is_not_held_up_by_a_writer_and_a_writer_gives_up_in_time() {
    let dir = scratch();
    let all = small_log(dir.path(), 1).await;
    let lock = std::fs::File::open(dir.path().join("append.lock")).expect("a lock");
    lock.lock().expect("it is free");
    let store = Embedded::at(dir.path().to_owned());
    assert_eq!(store.read(1).await.expect("reading needs no lock"), all);
    let end = all.last().map(Entry::head);
    let waiting = store.append(end, entries(end, &["{}"]));
    tokio::pin!(waiting);
    let early = futures_poll(&mut waiting).await;
    assert!(early.is_none(), "it waits for the lock");
    lock.unlock().expect("it was held");
    waiting.await.expect("and goes on when it is free");
}

/// The answer, if it is there already.
async fn futures_poll<F: Future + Unpin>(future: &mut F) -> Option<F::Output> {
    std::future::poll_fn(|context| {
        let poll = std::pin::Pin::new(&mut *future).poll(context);
        std::task::Poll::Ready(match poll {
            std::task::Poll::Ready(answer) => Some(answer),
            std::task::Poll::Pending => None,
        })
    })
    .await
}

#[tokio::test]
async fn a_lock_file_that_nobody_holds_belongs_to_a_dead_run() {
    let dir = scratch();
    std::fs::create_dir_all(dir.path().join("runs")).expect("a directory");
    std::fs::write(dir.path().join("runs/abc123"), "").expect("what a kill leaves behind");
    let store = Embedded::at(dir.path().to_owned());
    assert_eq!(store.liveness("abc123").await.expect("liveness"), Liveness::Dead);
    assert_eq!(store.liveness("../head").await.expect("liveness"), Liveness::Unknown);
}

#[test]
fn hostile_bytes_are_refused_without_a_panic() {
    let frame = super::segment::frame(&entries(None, &["{\"a\":1}", "{}"])).expect("a frame");
    for at in 0..frame.len() {
        for byte in [0, 1, 0x7f, 0xff] {
            // With a checksum that fits, as somebody would write it on purpose.
            let mut hostile = frame.clone();
            hostile[at] = byte;
            let crc_at = super::segment::FRAME - 4;
            let mut crc = crc32fast::Hasher::new();
            crc.update(&hostile[..crc_at]);
            crc.update(&hostile[super::segment::FRAME..]);
            hostile[crc_at..crc_at + 4].copy_from_slice(&crc.finalize().to_le_bytes());
            if let Some((parsed, _)) = super::segment::Frame::parse(&hostile) {
                let same = hostile == frame;
                let read = parsed.entries(StoreId([7; 16]), Head::NONE).is_some();
                let only_format = at < 8 && (4..8).contains(&at);
                assert!(!read || same || only_format, "byte {at} as {byte}");
            }
        }
    }
    assert!(super::segment::Frame::parse(&[]).is_none());
    assert_ne!(Digest::of(&frame), Head::NONE);
}

/// What a newer minor version writes is kept, chained, and written on; of a newer major version nothing is read but its name, which
/// `a_newer_format_is_named_and_nothing_is_written` shows.
#[tokio::test]
async fn a_log_of_a_newer_minor_version_is_read_and_written_on() {
    let dir = scratch();
    let mut all = small_log(dir.path(), 1).await;
    let mut newer = entry(all.last().map(Entry::head), "telepathy", "{\"new\":true}");
    newer.header.format.minor += 9;
    let path = logs(dir.path()).remove(0);
    let frame = super::segment::frame(std::slice::from_ref(&newer)).expect("a frame");
    std::fs::write(&path, [std::fs::read(&path).expect("a segment"), frame].concat()).expect("a segment");
    all.push(newer);
    let store = Embedded::at(dir.path().to_owned());
    assert_eq!(store.read(1).await.expect("it is read"), all);
    let end = all.last().map(Entry::head);
    let news = entries(end, &["{\"f\":6}"]);
    store.append(end, news.clone()).await.expect("it is written on");
    assert_eq!(store.read(1).await.expect("entries"), [all, news].concat());
}
