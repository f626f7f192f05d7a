//! The vocabulary of the engine. Each file is one word; nothing here reads, writes, waits or decides.

pub mod address;
pub mod code;
pub mod diagnostic;
pub mod span;

pub use address::Address;
pub use code::Code;
pub use diagnostic::{Confidence, Diagnostic, Edit, Fix, Severity};
pub use span::{Origin, Place, Source, SourceId, Sources, Span};
