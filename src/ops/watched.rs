//! A connection that recognises secrets in what a platform says: a value that was sent as a secret and comes back in another field,
//! in a list, a receipt or an error is as secret there.

use std::sync::Arc;

use async_trait::async_trait;

use crate::model::{Fields, Kind, KnownSecrets};
use crate::providers::contract::{Answer, Budget, Call, CallAction, CallError, Connection, Delays, Found};

/// Wraps a connection. What the command's calls send, and what platforms make, is learnt on the way.
pub struct Watched {
    pub inner: Arc<dyn Connection>,
    pub known: Arc<KnownSecrets>,
}

#[async_trait]
impl Connection for Watched {
    async fn list(&self, kind: &Kind, group: &Fields) -> Result<Option<Vec<Fields>>, CallError> {
        let mut listed = self.inner.list(kind, group).await.map_err(|error| self.cleaned(error))?;
        listed.iter_mut().flatten().for_each(|object| self.take(object));
        Ok(listed)
    }

    async fn read(&self, kind: &Kind, known: &Fields) -> Result<Option<Fields>, CallError> {
        self.known.learn_fields(known);
        let mut read = self.inner.read(kind, known).await.map_err(|error| self.cleaned(error))?;
        read.iter_mut().for_each(|object| self.take(object));
        Ok(read)
    }

    async fn perform(&self, call: &Call) -> Result<Answer, CallError> {
        self.learn(call);
        self.inner.perform(call).await.map(|answer| self.answer(answer)).map_err(|error| self.cleaned(error))
    }

    async fn find(&self, call: &Call) -> Result<Found, CallError> {
        self.learn(call);
        match self.inner.find(call).await.map_err(|error| self.cleaned(error))? {
            Found::Done(answer) => Ok(Found::Done(self.answer(answer))),
            Found::Candidates(words) => Ok(Found::Candidates(words.iter().map(|it| self.known.clean(it)).collect())),
            found @ (Found::Absent | Found::Unchanged) => Ok(found),
        }
    }

    fn budget(&self) -> Budget {
        self.inner.budget()
    }

    fn delays(&self) -> Delays {
        self.inner.delays()
    }
}

impl Watched {
    fn learn(&self, call: &Call) {
        match &call.action {
            CallAction::Create { inputs } => self.known.learn_fields(inputs),
            CallAction::Update { before, inputs, .. } => {
                self.known.learn_fields(&before.inputs);
                self.known.learn_fields(inputs);
            }
            CallAction::Delete { before } => self.known.learn_fields(&before.inputs),
        }
    }

    /// Secrets that the platform made are known from now on; those that it repeats are marked.
    fn take(&self, object: &mut Fields) {
        self.known.learn_fields(object);
        self.known.taint_fields(object);
    }

    fn answer(&self, mut answer: Answer) -> Answer {
        self.take(&mut answer.attributes);
        answer.receipt.requests.iter_mut().for_each(|line| *line = self.known.clean(line));
        answer
    }

    fn cleaned(&self, error: CallError) -> CallError {
        match error {
            CallError::Refused { status, field, words, request, code } => CallError::Refused {
                status,
                field: field.map(|it| self.known.clean(&it)),
                words: self.known.clean(&words),
                request: request.map(|it| self.known.clean(&it)),
                code,
            },
            CallError::NotSent(why) => CallError::NotSent(self.known.clean(&why)),
            CallError::OutcomeUnknown(why) => CallError::OutcomeUnknown(self.known.clean(&why)),
            throttled @ CallError::Throttled { .. } => throttled,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::model::{Address, Value};
    use crate::providers::contract::Receipt;
    use crate::providers::registry;

    /// Says what it was told in fields that nobody calls sensitive.
    struct Parrot;

    fn said(token: &str) -> Fields {
        Fields::from([
            ("id".into(), Value::text("42")),
            ("status".into(), Value::text(format!("started with {token}"))),
            ("labels".into(), Value::list(vec![Value::text(token), Value::text("web")])),
        ])
    }

    fn token_of(fields: &Fields) -> &str {
        fields["token"].as_text().expect("a text")
    }

    #[async_trait]
    impl Connection for Parrot {
        async fn list(&self, _: &Kind, _: &Fields) -> Result<Option<Vec<Fields>>, CallError> {
            Ok(Some(vec![said("dG9rZW4gb2YgdGhlIHNob3A=")]))
        }

        async fn read(&self, _: &Kind, known: &Fields) -> Result<Option<Fields>, CallError> {
            Ok(Some(said(token_of(known))))
        }

        async fn perform(&self, call: &Call) -> Result<Answer, CallError> {
            let CallAction::Create { inputs } = &call.action else {
                return Err(CallError::OutcomeUnknown("lost: token of the shop".into()));
            };
            let requests = vec![format!("POST /things?token={} 201", token_of(inputs).replace(' ', "%20"))];
            Ok(Answer { attributes: said(token_of(inputs)), receipt: Receipt { requests } })
        }

        async fn find(&self, _: &Call) -> Result<Found, CallError> {
            Ok(Found::Candidates(vec!["the one with token of the shop".into()]))
        }
    }

    #[tokio::test]
    async fn what_a_platform_repeats_is_as_secret_as_it_was() {
        let watched = Watched { inner: Arc::new(Parrot), known: Arc::default() };
        let kind = registry::schemas().kind("fly.secret").expect("there is one").clone();
        let inputs = Fields::from([("token".into(), Value::text("token of the shop").secret())]);
        let call = |action| Call {
            token: "sw-1".into(),
            address: Address::parse("fly.secret.a").expect("an address"),
            kind: kind.clone(),
            action,
            not_after: Duration::from_secs(1),
        };
        let create = call(CallAction::Create { inputs: inputs.clone() });
        let answer = watched.perform(&create).await.expect("it is made");
        let shown = Value::map(answer.attributes).to_literal();
        assert_eq!(shown, r#"{ id = "42", labels = [(secret), "web"], status = (secret) }"#);
        assert_eq!(answer.receipt.requests, ["POST /things?token=(secret) 201"]);

        // Another call of the same command, in another writing.
        let listed = watched.list(&kind, &Fields::new()).await.expect("it lists").expect("it is there");
        assert!(listed[0]["status"].mark.secret && listed[0]["labels"].has_secret() && !listed[0]["id"].mark.secret);
        let read = watched.read(&kind, &inputs).await.expect("it reads").expect("it is there");
        assert!(read["status"].mark.secret);
        let Ok(Found::Candidates(words)) = watched.find(&create).await else { panic!("it finds candidates") };
        assert_eq!(words, ["the one with (secret)"]);
    }

    #[tokio::test]
    async fn an_error_repeats_no_secret() {
        let watched = Watched { inner: Arc::new(Parrot), known: Arc::default() };
        watched.known.add("token of the shop");
        let kind = registry::schemas().kind("fly.secret").expect("there is one").clone();
        let record = crate::model::Record {
            address: Address::parse("fly.secret.a").expect("an address"),
            id: crate::model::RecordId([0; 16]),
            kind: kind.name.clone(),
            provider: crate::model::ProviderName::parse("fly"),
            instance: Address::parse("fly.secret.a").expect("an address"),
            inputs: Fields::new(),
            computed: Fields::new(),
            edges: Vec::new(),
            protect: false,
            replace_on: Vec::new(),
            generation: 0,
            declared_at: String::new(),
            schema_version: 1,
            version: 1,
            deposed: false,
        };
        let action = CallAction::Delete { before: Arc::new(record) };
        let call = Call {
            token: "sw-1".into(),
            address: Address::parse("fly.secret.a").expect("an address"),
            kind,
            action,
            not_after: Duration::from_secs(1),
        };
        let error = watched.perform(&call).await.map(|_| ()).expect_err("it is lost");
        assert_eq!(error.to_string(), "sent, and no usable answer came: lost: (secret)");
    }
}
