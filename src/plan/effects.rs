//! The canonical form of what a plan will do, its hash, and the name that people type for it.

use crate::model::canonical::{write_fields, write_text, write_value};
use crate::model::schema::Given;
use crate::model::{
    Action, Address, Became, Change, Digest, ElsewhereBasis, ElsewhereRead, Fields, Name, Plan, Record, Schemas, Value,
};

/// Gives the keyed digest of a secret: the same for the same secret, and nothing to learn from it without the key.
pub type SecretDigest<'a> = &'a dyn Fn(&Value) -> Digest;

/// Hash of the subject of a plan: store, stack, environment, the sorted effects, and the versions of the records that they read
/// and write. Places in the source, reasons and remarks are no part of it: a moved line leaves it alone.
pub fn subject(plan: &Plan, secret: SecretDigest<'_>) -> Digest {
    let mut out = Vec::with_capacity(4096);
    out.extend_from_slice(b"stackwright/plan/1\n");
    for text in [&plan.store, &plan.stack, &plan.environment] {
        write_text(&mut out, text);
        out.push(b'\n');
    }
    out.extend_from_slice(if plan.simulated { b"simulated\n" } else { b"real\n" });
    for change in &plan.changes {
        let mut effect = Vec::with_capacity(1024);
        write_effect(&mut effect, change, secret);
        // Each effect goes in as its hash, so that approvals can list them one by one.
        out.extend_from_slice(Digest::of(&effect).to_string().as_bytes());
        out.push(b'\n');
    }
    for output in &plan.outputs {
        write_text(&mut out, &output.name);
        match &output.after {
            Some(after) => write_with_secrets(&mut out, &after.value, secret),
            None => out.extend_from_slice(b"-"),
        }
        out.push(b'\n');
    }
    for set in &plan.deferred {
        write_text(&mut out, &format!("deferred {} {} {}", set.address, set.kind, set.at_most));
        out.push(b'\n');
    }
    for requirement in &plan.requirements {
        write_text(&mut out, &format!("require {}", requirement.address.as_ref().map_or("", Address::as_str)));
        write_with_secrets(&mut out, &requirement.cond, secret);
        write_with_secrets(&mut out, &requirement.message, secret);
        out.push(b'\n');
    }
    for (address, version) in &plan.reads {
        write_text(&mut out, address.as_str());
        out.extend_from_slice(format!(" {version}\n").as_bytes());
        for it in plan.foreseen.iter().filter(|it| it.address == *address && *version == Record::FORESEEN) {
            write_text(&mut out, &format!("foreseen {} {:?}", it.became.word(), it.record));
            out.push(b'\n');
        }
    }
    Digest::of(&out)
}

/// Tells what is recorded of a resource from every other record that it might have: all but its version, where it is declared, and
/// what changes by itself. Where a call is sent again, nobody knows beforehand what the platform computes.
pub fn record_digest(record: &Record, became: Became, schemas: &Schemas, secret: SecretDigest<'_>) -> Digest {
    let kind = schemas.kind(&record.kind);
    let is_live = |name: &Name| kind.and_then(|it| it.attribute(name)).is_some_and(|it| matches!(it.given, Given::Live));
    let counts = |name: &Name| became != Became::Again && !is_live(name);
    let computed: Fields =
        record.computed.iter().filter(|(name, _)| counts(name)).map(|(name, value)| (name.clone(), value.clone())).collect();
    let mut out = b"stackwright/record/1\n".to_vec();
    let Record { address, id, provider, instance, protect, generation, deposed, .. } = record;
    for text in [address.as_str(), &record.kind, &provider.to_string(), instance.as_str()] {
        write_text(&mut out, text);
        out.push(b'\n');
    }
    out.extend_from_slice(format!("{id:?} {protect} {generation} {deposed}\n").as_bytes());
    for fields in [&record.inputs, &computed] {
        write_fields_with_secrets(&mut out, fields, secret);
        out.push(b'\n');
    }
    record.replace_on.iter().for_each(|value| write_with_secrets(&mut out, value, secret));
    for edge in &record.edges {
        write_text(&mut out, &format!("{} {:?}", edge.to, edge.reason));
    }
    Digest::of(&out)
}

/// What a plan keeps of a value that it read elsewhere.
pub fn basis(read: ElsewhereRead, secret: SecretDigest<'_>) -> ElsewhereBasis {
    let ElsewhereRead { stack, environment, output, value } = read;
    ElsewhereBasis { stack, environment, output, digest: elsewhere_digest(&value, secret) }
}

/// Tells a value that was read elsewhere from every other.
pub fn elsewhere_digest(value: &Value, secret: SecretDigest<'_>) -> Digest {
    let mut out = b"stackwright/elsewhere/1\n".to_vec();
    write_with_secrets(&mut out, value, secret);
    Digest::of(&out)
}

/// The canonical bytes of one effect.
pub fn effect(change: &Change, secret: SecretDigest<'_>) -> Digest {
    let mut out = Vec::with_capacity(1024);
    write_effect(&mut out, change, secret);
    Digest::of(&out)
}

fn write_effect(out: &mut Vec<u8>, change: &Change, secret: SecretDigest<'_>) {
    let pieces = [
        change.address.to_string(),
        change.kind.name.to_string(),
        change.provider.to_string(),
        change.schema_version.to_string(),
        detail(&change.action),
        if change.maybe_replace { "maybe".to_owned() } else { String::new() },
    ];
    for piece in pieces {
        write_text(out, &piece);
        out.push(b'\n');
    }
    if let Some(after) = &change.after {
        write_fields_with_secrets(out, &after.attributes, secret);
        out.extend_from_slice(if after.lifecycle.protect { b"\nprotect\n" } else { b"\n-\n" });
        after.lifecycle.replace_on.iter().for_each(|value| write_with_secrets(out, value, secret));
        for edge in &after.edges {
            write_text(out, &format!("{} {:?}", edge.to, edge.reason));
        }
    }
    // What the platform reports and the record takes over is part of what is done.
    for field in change.drift.iter().filter(|_| change.action == Action::Record) {
        write_text(out, &format!("{:?}", field.path));
        field.after.iter().for_each(|value| write_with_secrets(out, value, secret));
    }
}

fn detail(action: &Action) -> String {
    match action {
        Action::Replace { order } => format!("replace {order:?}"),
        Action::Destroy { loses_data } => format!("destroy {loses_data}"),
        Action::Move { from } => format!("move {from}"),
        Action::Adopt { id } => format!("adopt {id}"),
        Action::Create | Action::Update | Action::Run | Action::Read | Action::Forget | Action::Record => {
            action.word().to_owned()
        }
    }
}

fn write_fields_with_secrets(out: &mut Vec<u8>, fields: &Fields, secret: SecretDigest<'_>) {
    write_fields(out, fields);
    fields.values().for_each(|value| write_digests(out, value, secret));
}

/// The canonical bytes, which hide secrets, and then the keyed digest of each secret, so that another secret is another effect.
fn write_with_secrets(out: &mut Vec<u8>, value: &Value, secret: SecretDigest<'_>) {
    write_value(out, value);
    write_digests(out, value, secret);
}

fn write_digests(out: &mut Vec<u8>, value: &Value, secret: SecretDigest<'_>) {
    use crate::model::Data::*;
    match &value.data {
        _ if value.mark.secret => {
            // A secret that is not yet known has no digest; its computation is in the bytes of the edges and the address.
            let digest = if value.has_unknown() { "unknown".to_owned() } else { secret(value).to_string() };
            out.push(b'#');
            out.extend_from_slice(digest.as_bytes());
        }
        List(items) => items.iter().for_each(|item| write_digests(out, item, secret)),
        Map(fields) | Variant(_, fields) => fields.values().for_each(|value| write_digests(out, value, secret)),
        Range(ends) => [&ends.0, &ends.1].into_iter().for_each(|end| write_digests(out, end, secret)),
        Null | Bool(_) | Int(_) | Number(_) | Text(_) | Duration(_) | Size(_) | Percent(_) | Rate(_) | Money(..) | Instant(_)
        | Ref(_) | Provider(_) | Metric(_) | Condition(_) | Unknown(_) => {}
    }
}

/// Eight hexadecimal digits of the hash with a letter among them, so that no plan's name is a revision's number.
pub fn plan_id(effects: &Digest) -> String {
    let hex = effects.to_string();
    let has_letter = |window: &&str| window.bytes().any(|byte| byte.is_ascii_alphabetic());
    let windows = (0..=hex.len() - 8).map(|at| &hex[at..at + 8]).collect::<Vec<_>>();
    // 64 decimal digits in a row do not happen (10^-13); were it so, the letter says that it is a plan.
    windows.iter().copied().find(has_letter).map_or_else(|| format!("a{}", &hex[..7]), str::to_owned)
}
