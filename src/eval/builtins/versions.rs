//! Versions by the rules of semver.org.

use semver::{Version, VersionReq};

use super::{Arguments, Problem};
use crate::model::Value;

type Run = Result<Value, Problem>;

pub fn semver_compare(a: &Arguments<'_>) -> Run {
    // Build metadata has no rank.
    let order = version(a, 0)?.cmp_precedence(&version(a, 1)?);
    Ok(Value::int(order as i64))
}

pub fn semver_matches(a: &Arguments<'_>) -> Run {
    let wanted =
        VersionReq::parse(a.text(1)?).map_err(|_| Problem::argument("the requirement is none such as `>=1.2, <2` or `^1.4`"))?;
    Ok(Value::bool(wanted.matches(&version(a, 0)?)))
}

pub fn semver_major(a: &Arguments<'_>) -> Run {
    part(version(a, 0)?.major)
}

pub fn semver_minor(a: &Arguments<'_>) -> Run {
    part(version(a, 0)?.minor)
}

pub fn semver_patch(a: &Arguments<'_>) -> Run {
    part(version(a, 0)?.patch)
}

fn part(number: u64) -> Run {
    i64::try_from(number).map(Value::int).map_err(|_| Problem::arithmetic("the number is too large for an int"))
}

fn version(a: &Arguments<'_>, at: usize) -> Result<Version, Problem> {
    let text = a.text(at)?;
    // Version requirements ignore the `v` that tags often begin with; versions have none.
    Version::parse(text).map_err(|_| Problem::argument(format!("argument {} is no version such as 1.4.0", at + 1)))
}
