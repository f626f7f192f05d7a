//! `local.value`: held by the state and by nothing else, so nothing is read, written or waited for.

use super::inputs;
use crate::model::Value;
use crate::model::value::Fields;
use crate::world::World;

/// A new value.
pub fn create(inputs: &Fields, world: &World) -> Fields {
    with_output(inputs, Value::text(id_text(world.random_id())))
}

/// The same value with other content.
pub fn update(inputs: &Fields, before: &Fields, world: &World) -> Fields {
    match inputs::optional_text(before, "id") {
        Some(id) => with_output(inputs, Value::text(id)),
        None => create(inputs, world),
    }
}

fn with_output(inputs: &Fields, id: Value) -> Fields {
    let mut all = inputs.clone();
    if let Some(input) = inputs.get("input") {
        all.insert("output".into(), input.clone());
    }
    all.insert("id".into(), id);
    all
}

/// In the form of a random UUID (version 4).
fn id_text(mut bytes: [u8; 16]) -> String {
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let mut text = String::with_capacity(36);
    for (at, byte) in bytes.iter().enumerate() {
        if matches!(at, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        for half in [byte >> 4, byte & 15] {
            text.push(char::from_digit(half.into(), 16).expect("a half byte is a digit"));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    #[test]
    fn an_id_has_the_form_of_a_random_uuid() {
        assert_eq!(super::id_text([0xff; 16]), "ffffffff-ffff-4fff-bfff-ffffffffffff");
    }
}
