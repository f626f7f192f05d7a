//! Requirements on what is known only after an apply: judged as soon as it is known, when planned or while the plan is made.

use crate::model::{Address, Data, Diagnostic, Requirement, Step, Value};

/// What is found out about a requirement.
#[derive(Debug)]
pub enum Judged {
    Holds,
    /// What is left of it.
    Open(Requirement),
    Broken(Box<Diagnostic>),
}

/// Judges a requirement by the attributes that are known, as [`crate::eval::resume`] asks for them.
pub fn judge(requirement: &Requirement, lookup: &dyn Fn(&Address, &[Step]) -> Option<Value>) -> Judged {
    let cond = match crate::eval::resume(&requirement.cond, lookup) {
        Ok(cond) => cond,
        Err(mut error) => {
            error.address = error.address.take().or_else(|| requirement.address.clone());
            return Judged::Broken(error);
        }
    };
    if matches!(cond.data, Data::Bool(true)) {
        return Judged::Holds;
    }
    let waits = matches!(cond.data, Data::Unknown(_));
    let message = match crate::eval::resume(&requirement.message, lookup) {
        Ok(message) => message,
        Err(_) if waits => requirement.message.clone(),
        Err(error) => Value::text(error.message.clone()),
    };
    let known = Requirement { cond, message, ..requirement.clone() };
    if waits { Judged::Open(known) } else { Judged::Broken(Box::new(known.broken())) }
}
