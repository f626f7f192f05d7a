//! `given platform { url = "https://…" }`: what a test says that another stack gives out.

use std::sync::Arc;

use super::Checker;
use super::blocks::Level;
use super::body::FieldsOf;
use super::constant::folded_map;
use super::context::Cx;
use super::describe::listed;
use super::rules::Written;
use crate::lang::program::GivenStack;
use crate::lang::resolve::{Imported, OWN, nearest};
use crate::lang::syntax::tree;
use crate::model::expr::Expr;
use crate::model::types::{FieldType, Need, ObjectType};
use crate::model::{Code, Confidence, Edit, Name, Span};

impl<'t> Checker<'t> {
    /// The outputs that a block of a test names, typed as the other stack declares them; any may be left out.
    pub(super) fn given_stack(&mut self, cx: &mut Cx, written: &Written<'t>, span: Span) -> Option<GivenStack> {
        let (Written::Block(block), Some(body)) = (written, written.body()) else {
            let diagnostic = Code::WrongType
                .error("`given` is no field")
                .label(span, "expected `given { items }`, or `given STACK { output = value }`");
            self.say(diagnostic);
            return None;
        };
        let alias = block.label.as_ref()?;
        let at = self.stack_named(alias)?;
        let stack = &self.stacks[at as usize];
        let field = |ty: &crate::model::Type| FieldType { ty: ty.clone(), need: Need::Absent };
        let fields = stack.outputs.iter().map(|(name, output)| (name.clone(), field(&output.ty))).collect();
        let who = format!("the stack `{}`", stack.name);
        let object = Arc::new(ObjectType { fields, name: Some(stack.name.clone()) });
        let folded = self.fold(cx, body, &FieldsOf::Object(&object), &who, None, false, Level::Inside);
        let outputs = Expr::new(folded_map(folded.into_map(), body.span), body.span);
        self.needed_early(cx.scope, &outputs, "`given`");
        Some(GivenStack { stack: at, outputs, span: block.name.span.to(alias.span) })
    }

    /// The place of the stack that is imported under a name.
    fn stack_named(&mut self, alias: &tree::Name) -> Option<u32> {
        let imports = &self.tables.directories[OWN.at()].imports;
        let is_stack = |to: &Imported| matches!(to, Imported::Stack(_));
        let diagnostic = match imports.get(&alias.node).map(|it| it.to) {
            Some(Imported::Stack(at)) => return Some(at.0),
            Some(Imported::Unread) => return None,
            Some(Imported::Directory(_)) => Code::WrongType
                .error(format!("the import `{}` is no stack, and has no outputs", alias.node))
                .label(alias.span, "expected one of `import stack`"),
            None => {
                let mut known: Vec<Name> =
                    imports.iter().filter(|(_, it)| is_stack(&it.to)).map(|(name, _)| name.clone()).collect();
                known.sort_unstable();
                let near = nearest(&alias.node, known.iter().map(|it| &**it)).map(str::to_owned);
                let diagnostic = Code::UnknownName
                    .error(format!("there is no stack `{}`", alias.node))
                    .label(alias.span, "expected the name of an `import stack`");
                match near {
                    Some(near) => diagnostic.help(format!("write `{near}`")).fix(
                        format!("write `{near}`"),
                        Confidence::Sure,
                        vec![Edit { span: alias.span, text: near }],
                    ),
                    None if known.is_empty() => diagnostic.help(format!("import it: `import stack \"PATH\" as {}`", alias.node)),
                    None => diagnostic.help(format!("there is {}", listed(known.iter().map(|it| &**it)))),
                }
            }
        };
        self.say(diagnostic);
        None
    }
}
