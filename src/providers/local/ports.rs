//! Free TCP ports that stay with whom they were given to.
//!
//! Chosen below the range from which systems take ports for outgoing connections, so that a stopped server finds its own free
//! again, and from a place that depends on the name, so that equal programs get equal ports where nothing is in the way.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use sha2::{Digest as _, Sha256};

use super::place::{Place, read_note};
use super::refused;
use crate::providers::contract::CallError;

const FIRST: u16 = 20_000;
const COUNT: u16 = 10_000;

/// Ports given by this program, to whom: two calls at once do not get one port before either has noted it.
static GIVEN: Mutex<BTreeMap<u16, String>> = Mutex::new(BTreeMap::new());

/// A port that is free now and that no note of this stack's environments holds. The caller notes it.
pub fn choose(place: &Place, kind: &str, name: &str) -> Result<u16, CallError> {
    let mark = place.mark_of(kind, name);
    let noted = noted_ports(place, &place.note_path(kind, name));
    let mut given = GIVEN.lock().unwrap_or_else(PoisonError::into_inner);
    let start = u16::from_be_bytes(Sha256::digest(mark.as_bytes())[..2].try_into().expect("two bytes")) % COUNT;
    let mut candidates = (0..COUNT).map(|step| FIRST + (start + step) % COUNT);
    let fits = |port: &u16| !noted.contains(port) && given.get(port).is_none_or(|holder| *holder == mark) && is_free(*port);
    let port = candidates.find(fits).ok_or_else(|| refused("port", "no port from 20000 to 29999 is free".into()))?;
    given.insert(port, mark);
    Ok(port)
}

/// Refuses a port that somebody else listens on.
pub fn refuse_busy(port: u16) -> Result<(), CallError> {
    if is_free(port) {
        return Ok(());
    }
    let words = format!("port {port} of 127.0.0.1 is taken by another program; end that one, or give another `port`");
    Err(refused("port", words))
}

/// Whether a server could listen there now.
fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
}

/// Ports in notes of this stack's environments, also of what is stopped now, but for the note `own`.
fn noted_ports(place: &Place, own: &Path) -> BTreeSet<u16> {
    let environments = place.data_dir.parent().and_then(|above| fs::read_dir(above).ok());
    let notes = environments.into_iter().flatten().flatten().filter_map(|entry| fs::read_dir(entry.path().join("run")).ok());
    let paths = notes.flatten().flatten().map(|entry| entry.path()).filter(|path| path != own);
    paths.filter_map(|path| read_note(&path)?.port).collect()
}

/// The port may be given to others.
pub fn give_back(port: u16) {
    GIVEN.lock().unwrap_or_else(PoisonError::into_inner).remove(&port);
}
