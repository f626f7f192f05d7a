//! `local.port`: a port and nothing else, so that whoever needs an address does not wait for who listens there.

use super::place::Note;
use super::{Ground, inputs, ports};
use crate::model::Value;
use crate::model::value::Fields;
use crate::providers::contract::{Call, CallError};

pub const KIND: &str = "local.port";

pub fn create(ground: &Ground, call: &Call, given: &Fields) -> Result<Fields, CallError> {
    let name = ground.name(KIND, given)?;
    let port = match name.note().and_then(|note| note.port) {
        Some(port) => port,
        None => ports::choose(&ground.place, KIND, name.name)?,
    };
    keep(ground, &call.token, given, port)
}

/// A note that was lost is written again: the port is in the record, and others know it.
pub fn read(ground: &Ground, known: &Fields) -> Result<Option<Fields>, CallError> {
    let noted = ground.name(KIND, known)?.note().and_then(|note| note.port);
    Ok(noted.or(inputs::port(known)).map(|port| with_port(known, port)))
}

pub fn delete(ground: &Ground, before: &Fields) -> Result<(), CallError> {
    inputs::port(before).into_iter().for_each(ports::give_back);
    ground.place.drop_note(KIND, ground.name(KIND, before)?.name)
}

pub fn find(ground: &Ground, call: &Call, given: &Fields) -> Result<Option<Fields>, CallError> {
    let note = ground.name(KIND, given)?.note().filter(|note| note.token == call.token);
    Ok(note.and_then(|note| note.port).map(|port| with_port(given, port)))
}

fn keep(ground: &Ground, token: &str, given: &Fields, port: u16) -> Result<Fields, CallError> {
    let note = Note { kind: KIND.into(), token: token.into(), port: Some(port), process: None, location: None };
    ground.place.keep_note(KIND, ground.name(KIND, given)?.name, &note)?;
    Ok(with_port(given, port))
}

fn with_port(fields: &Fields, port: u16) -> Fields {
    let mut all = fields.clone();
    all.insert("port".into(), Value::int(port.into()));
    all
}
