//! A whole log as one file: what `state export` and `state backup` write.
//!
//! ```text
//! {"schema":"stackwright.state-export/1","count":7,"environment":"local","format":[1,0],"head":"8d1f…","stack":"shop","store":"59c2…"}
//! {"body":{…},"epoch":0,"format":[1,0],"hash":"e0b1…","kind":"genesis","run":0,"sequence":1,"time":1763793660000}
//! …one line an entry, in order
//! {"snapshot":"U1dTTkFQ…"}                                                          in a backup, where there was one
//! ```
//!
//! Bodies stand as they are in the log, secrets sealed; one that is no JSON in one line stands in base64, as `bytes`. Every state
//! has one export, byte for byte. Reading takes any bytes: each entry's hash is computed again, and the chain has to end in the
//! head that the first line names.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::model::{Code, Diagnostic, Digest};
use crate::state::contract::{Entry, FORMAT, Format, Head, Header, Sequence, Snapshot, StoreId};
use crate::state::log::{Object, genesis_of};
use crate::state::store::snapshot::{read_snapshot, snapshot_bytes};

const EXPORT: &str = "stackwright.state-export/1";
const BACKUP: &str = "stackwright.state-backup/1";

/// A log on its way from one place to another. Its chain is whole.
#[derive(Clone, PartialEq, Debug)]
pub struct Parcel {
    /// The stack that it is the state of; empty where that was not known.
    pub stack: String,
    pub environment: String,
    /// All of them, from the genesis on; at least one.
    pub entries: Vec<Entry>,
    /// Saves reading after a restore. Only backups have one.
    pub snapshot: Option<Snapshot>,
    /// Whether it was made as a backup, or as an export.
    pub backup: bool,
}

impl Parcel {
    /// A parcel of a log as a store gave it, chain checked. `None` where it is empty.
    pub fn of(stack: String, environment: String, entries: Vec<Entry>) -> Option<Parcel> {
        (!entries.is_empty()).then_some(Parcel { stack, environment, entries, snapshot: None, backup: false })
    }

    pub fn head(&self) -> Head {
        self.entries.last().expect("a parcel has entries").head()
    }

    pub fn store(&self) -> StoreId {
        self.entries[0].header.store
    }

    pub fn count(&self) -> u64 {
        self.entries.len() as u64
    }

    /// Revisions in it.
    pub fn revisions(&self) -> u64 {
        self.entries.iter().filter(|entry| entry.header.kind == "revision").count() as u64
    }

    /// The hash of an entry, where it has that one.
    pub fn hash_at(&self, sequence: Sequence) -> Option<Digest> {
        let at = usize::try_from(sequence.checked_sub(1)?).ok()?;
        Some(self.entries.get(at)?.hash())
    }

    pub fn bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.entries.iter().map(|entry| entry.body.len() + 256).sum());
        self.write_header(&mut out);
        self.entries.iter().for_each(|entry| write_entry(&mut out, entry));
        if let Some(snapshot) = &self.snapshot {
            let mut object = Object::new(&mut out);
            object.text("snapshot", &BASE64.encode(snapshot_bytes(snapshot)));
            object.end();
            out.push(b'\n');
        }
        out
    }

    fn write_header(&self, out: &mut Vec<u8>) {
        let format = self.entries.iter().map(|entry| entry.header.format).max().expect("a parcel has entries");
        out.extend_from_slice(format!("{{\"schema\":\"{}\",", if self.backup { BACKUP } else { EXPORT }).as_bytes());
        let from = out.len();
        let mut object = Object::new(out);
        object.number("count", self.entries.len());
        object.text("environment", &self.environment);
        object.key("format").extend_from_slice(format!("[{},{}]", format.major, format.minor).as_bytes());
        object.text("head", &self.head().hash.to_string());
        object.text("stack", &self.stack);
        object.text("store", &self.store().to_string());
        object.end();
        // `schema` comes first, as in every document: the object's own bracket goes.
        out.remove(from);
        out.push(b'\n');
    }

    /// Reads what [`Parcel::bytes`] wrote.
    ///
    /// Errors: [`Code::DamagedExport`] naming the line; [`Code::NewerState`] where it is of a newer format.
    pub fn parse(bytes: &[u8]) -> Result<Parcel, Box<Diagnostic>> {
        Parcel::parse_until_damage(bytes).map_err(|(_, error)| error)
    }

    /// As [`Parcel::parse`]; an error comes with the entries before it.
    pub fn parse_until_damage(bytes: &[u8]) -> Result<Parcel, (Vec<Entry>, Box<Diagnostic>)> {
        let mut kept = Vec::new();
        Parcel::parse_into(bytes, &mut kept).map_err(|error| (kept, error))
    }

    fn parse_into(bytes: &[u8], kept: &mut Vec<Entry>) -> Result<Parcel, Box<Diagnostic>> {
        let text = std::str::from_utf8(bytes).map_err(|_| foreign())?;
        let (first, rest) = text.split_once('\n').ok_or_else(foreign)?;
        let raw: RawHeader = serde_json::from_str(first).map_err(|_| foreign())?;
        let backup = match &*raw.schema {
            EXPORT => false,
            BACKUP => true,
            other if other.starts_with("stackwright.state-") => return Err(newer(&format!("it is a `{other}`"))),
            _ => return Err(foreign()),
        };
        if raw.format.0 > FORMAT.major {
            return Err(newer(&format!("its log has format {}", raw.format.0)));
        }
        let (store, head) =
            StoreId::parse(&raw.store).zip(Digest::parse(&raw.head)).ok_or_else(|| damaged(1, "it names no store or no head"))?;
        let mut reader = Reader { store, at: Head { sequence: 0, hash: Head::NONE }, entries: kept };
        let mut lines = rest.split_inclusive('\n');
        for _ in 0..raw.count {
            let ended = lines.next().and_then(|line| line.strip_suffix('\n'));
            let line = ended
                .ok_or_else(|| damaged(reader.line(), &format!("it ends here, and its first line says {} entries", raw.count)))?;
            reader.entry(line)?;
        }
        if reader.at.hash != head {
            return Err(damaged(reader.line() - 1, "the last entry is not the head that the first line names"));
        }
        let entries = reader.entries.clone();
        let mut parcel = Parcel::of(raw.stack, raw.environment, entries).ok_or_else(|| damaged(1, "it holds no entry"))?;
        let genesis = genesis_of(&parcel.entries[0]).ok_or_else(|| damaged(2, "the log does not begin with its genesis"))?;
        if genesis.store != store || genesis.environment != parcel.environment {
            return Err(damaged(1, "the first line and the log are of different states"));
        }
        parcel.backup = backup;
        if let Some(line) = lines.next() {
            let line_number = parcel.entries.len() + 2;
            parcel.snapshot = Some(
                read_snapshot_line(line, &parcel)
                    .ok_or_else(|| damaged(line_number, "this is neither an entry nor a snapshot of this log"))?,
            );
        }
        match lines.next() {
            Some(_) => Err(damaged(parcel.entries.len() + 3, "there is more behind its end")),
            None => Ok(parcel),
        }
    }
}

fn write_entry(out: &mut Vec<u8>, entry: &Entry) {
    let header = &entry.header;
    let mut object = Object::new(out);
    match as_json(&entry.body) {
        Some(json) => object.key("body").extend_from_slice(json.as_bytes()),
        None => object.text("bytes", &BASE64.encode(&entry.body)),
    }
    object.number("epoch", header.epoch);
    object.key("format").extend_from_slice(format!("[{},{}]", header.format.major, header.format.minor).as_bytes());
    object.text("hash", &entry.hash().to_string());
    object.text("kind", &header.kind);
    object.number("run", header.run);
    object.number("sequence", header.sequence);
    object.number("time", header.time_ms);
    object.end();
    out.push(b'\n');
}

/// The body where it is JSON that stands in a line as it is.
fn as_json(body: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(body).ok().filter(|text| !text.contains(['\n', '\r']))?;
    let json: &RawValue = serde_json::from_str(text).ok()?;
    (json.get() == text).then_some(text)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawHeader {
    schema: String,
    count: u64,
    environment: String,
    format: (u16, u16),
    head: String,
    stack: String,
    store: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawEntry<'b> {
    #[serde(borrow, default)]
    body: Option<&'b RawValue>,
    #[serde(default)]
    bytes: Option<String>,
    epoch: u64,
    format: (u16, u16),
    hash: String,
    kind: String,
    run: u64,
    sequence: u64,
    time: i64,
}

struct Reader<'k> {
    store: StoreId,
    at: Head,
    entries: &'k mut Vec<Entry>,
}

impl Reader<'_> {
    /// Number of the line that comes next.
    fn line(&self) -> usize {
        self.entries.len() + 2
    }

    fn entry(&mut self, line: &str) -> Result<(), Box<Diagnostic>> {
        let number = self.line();
        let raw: RawEntry<'_> = serde_json::from_str(line).map_err(|_| damaged(number, "this is no entry of a log"))?;
        let body = match (raw.body, raw.bytes) {
            (Some(json), None) => Some(json.get().as_bytes().to_vec()),
            (None, Some(bytes)) => BASE64.decode(bytes).ok(),
            _ => None,
        };
        let body = body.ok_or_else(|| damaged(number, "this entry has no body"))?;
        let header = Header {
            format: Format { major: raw.format.0, minor: raw.format.1 },
            store: self.store,
            sequence: raw.sequence,
            epoch: raw.epoch,
            run: raw.run,
            time_ms: raw.time,
            kind: raw.kind,
            previous: self.at.hash,
            body: Digest::of(&body),
        };
        if header.format.major > FORMAT.major {
            return Err(newer(&format!("entry {} has format {}", header.sequence, header.format.major)));
        }
        let entry = Entry { header, body: body.into() };
        let head = entry.head();
        if Some(head.hash) != Digest::parse(&raw.hash) || head.sequence != self.at.sequence + 1 {
            let what = format!(
                "entry {} is not the one that follows entry {}: it was altered, or one is missing",
                raw.sequence, self.at.sequence
            );
            return Err(damaged(number, &what));
        }
        self.at = head;
        self.entries.push(entry);
        Ok(())
    }
}

fn read_snapshot_line(line: &str, parcel: &Parcel) -> Option<Snapshot> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Raw {
        snapshot: String,
    }
    let raw: Raw = serde_json::from_str(line.strip_suffix('\n')?).ok()?;
    let snapshot = read_snapshot(&BASE64.decode(raw.snapshot).ok()?)?;
    (parcel.backup && parcel.hash_at(snapshot.head.sequence) == Some(snapshot.head.hash)).then_some(snapshot)
}

fn foreign() -> Box<Diagnostic> {
    let diagnostic = Code::DamagedExport.error("this is neither an export nor a backup of a state");
    Box::new(
        diagnostic.note("nothing was changed").help("`stackwright state export` and `stackwright state backup` write such files"),
    )
}

fn damaged(line: usize, what: &str) -> Box<Diagnostic> {
    let diagnostic = Code::DamagedExport.error(format!("the file is damaged in line {line}: {what}"));
    Box::new(diagnostic.note("nothing was changed").help("take another copy of it, or an older one"))
}

fn newer(what: &str) -> Box<Diagnostic> {
    let diagnostic = Code::NewerState.error("the file was written by a newer stackwright").fact("file", what.to_owned());
    let reads = format!("{}, reads formats up to {}", env!("CARGO_PKG_VERSION"), FORMAT.major);
    Box::new(
        diagnostic
            .fact("this program", reads)
            .note("nothing was changed")
            .help("install the version that wrote it, or a later one"),
    )
}
