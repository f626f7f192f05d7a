//! The parser that pest makes of `grammar/stack.pest`. Nothing outside of `lang/syntax` sees it.

#[derive(pest_derive::Parser)]
#[grammar = "grammar/stack.pest"]
pub struct Grammar;
