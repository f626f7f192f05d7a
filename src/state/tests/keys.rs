//! Who can open the secrets of a state: recipients, rotation, races, and what is not believed.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;

use super::{create, done, fields, header, intent, revision};
use crate::model::{Code, Diagnostic, Digest, Value};
use crate::state::contract::{Entry, FORMAT, Header};
use crate::state::keys::{Holder, Identity, KEY_FILE, KeyRequest, KeySources, with_passphrase};
use crate::state::log::ProviderSettings;
use crate::state::log::key::{KeyChange, KeyId, Wrap};
use crate::state::{Body, State};
use crate::world::World;

type Opened = Result<State, Box<Diagnostic>>;

/// Opens as somebody who has these variables.
async fn open_with(root: &Path, variables: &[(&str, &str)]) -> Opened {
    let all: BTreeMap<String, String> = variables.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
    let sources = KeySources { variable: Arc::new(move |name| all.get(name).cloned()), ..KeySources::beside(root) };
    State::open(State::local_store(root, "production")?, sources, "production", &World::real()).await
}

async fn open_as(root: &Path, who: &Identity) -> Opened {
    open_with(root, &[("STACKWRIGHT_IDENTITY", &who.text())]).await
}

async fn new_store(root: &Path, who: &Identity, declared: &[(&str, &Identity)]) -> Opened {
    let text = who.text();
    let declared = declared.iter().map(|(name, it)| ((*name).to_owned(), it.recipient())).collect();
    let variable = move |name: &str| (name == "STACKWRIGHT_IDENTITY").then(|| text.to_string());
    let sources = KeySources { variable: Arc::new(variable), declared, ..KeySources::beside(root) };
    State::open(State::local_store(root, "production")?, sources, "production", &World::real()).await
}

fn holder(name: &str, who: &Identity) -> Holder {
    Holder { name: name.into(), recipient: who.recipient(), locked: None }
}

async fn change(state: &mut State, request: KeyRequest) -> crate::state::keys::KeysChanged {
    state.change_keys(&request, "dkim", "a reason").await.expect("the change is written")
}

fn passwords(state: &State) -> Vec<String> {
    let records = state.view().records.values();
    records.filter_map(|it| Some(it.inputs.get("password")?.as_text()?.to_owned())).collect()
}

/// Without the key file.
fn lose_file(root: &Path) {
    std::fs::rename(root.join("key"), root.join("key.lost")).expect("there is a key file");
}

#[tokio::test]
async fn a_recipient_opens_what_was_sealed_before_it_came_and_what_comes_after() {
    let dir = tempfile::tempdir().expect("a directory");
    let (ada, ben) = (Identity::generate(), Identity::generate());
    let mut state = open_with(dir.path(), &[]).await.expect("a state");
    create(&mut state, 1, "local.value.a").await;
    change(&mut state, KeyRequest::Add(holder("ada", &ada))).await;
    create(&mut state, 2, "local.value.b").await;
    lose_file(dir.path());
    let opened = open_as(dir.path(), &ada).await.expect("it opens for ada");
    assert_eq!(passwords(&opened), ["hunter2", "hunter2"]);
    assert!(opened.view().void.is_empty(), "{:?}", opened.view().void);
    let error = open_as(dir.path(), &ben).await.err().expect("not for ben");
    assert_eq!(error.code, Code::NoKey);
    let said = format!("{error:?}");
    assert!(said.contains("ada") && said.contains(&ben.recipient()) && said.contains("STACKWRIGHT_IDENTITY"), "{said}");
    assert!(!said.contains(ben.text().as_str()) && !said.contains("AGE-SECRET"), "{said}");
}

#[tokio::test]
async fn who_is_removed_reads_what_was_and_nothing_of_what_comes() {
    let dir = tempfile::tempdir().expect("a directory");
    let (ada, ben) = (Identity::generate(), Identity::generate());
    let mut state = open_with(dir.path(), &[]).await.expect("a state");
    create(&mut state, 1, "local.value.a").await;
    change(&mut state, KeyRequest::Add(holder("ada", &ada))).await;
    change(&mut state, KeyRequest::Add(holder("ben", &ben))).await;
    let former = state.key_book().current;
    let changed = change(&mut state, KeyRequest::Remove("ben".into())).await;
    assert!(changed.is_new && Some(changed.current) != former && changed.holders == ["ada"]);
    lose_file(dir.path());
    assert_eq!(passwords(&open_as(dir.path(), &ben).await.expect("what was still opens")), ["hunter2"]);
    let mut state = open_as(dir.path(), &ada).await.expect("it opens");
    create(&mut state, 2, "local.value.b").await;
    let error = open_as(dir.path(), &ben).await.err().expect("not what is new");
    assert!(error.message.contains(&changed.current.to_string()), "{}", error.message);
    assert_eq!(passwords(&open_as(dir.path(), &ada).await.expect("it opens")), ["hunter2", "hunter2"]);
    // A run of whoever cannot open the current key writes no secret under a former one.
    let store = State::local_store(dir.path(), "production").expect("a store");
    let mut behind = State::unread(store, dir.path(), "production", &World::real());
    behind = behind.with_keys_only().await.expect("the log can be read");
    assert_eq!(behind.opens(changed.current).expect("no damage").by, None);
    assert_eq!(behind.change_keys(&KeyRequest::Rotate, "ben", "back in").await.expect_err("no key").code, Code::NoKey);
    // Those who may open it say so by name, and those who may no longer are former.
    assert_eq!(state.key_book().holders.keys().collect::<Vec<_>>(), ["ada"]);
    assert_eq!(state.key_book().former.len(), 1);
}

#[tokio::test]
async fn who_is_removed_cannot_open_settings_of_a_provider_that_are_written_again() {
    let dir = tempfile::tempdir().expect("a directory");
    let (ada, ben) = (Identity::generate(), Identity::generate());
    let mut state = open_with(dir.path(), &[]).await.expect("a state");
    let settings = fields(&[("org", Value::text("acme")), ("token", Value::text("a token of acme's").secret())]);
    let name = crate::model::ProviderName::parse("fly.eu");
    let provider = || Body::Provider(ProviderSettings { name: name.clone(), settings: settings.clone() });
    let write = async |state: &mut State| {
        let run = state.begin(header(&[])).await.expect("a run");
        run.append(vec![provider()]).await.expect("an entry");
        run.finish(revision()).await.expect("the run ends");
        state.refresh().await.expect("read");
    };
    write(&mut state).await;
    for (who, identity) in [("ada", &ada), ("ben", &ben)] {
        change(&mut state, KeyRequest::Add(holder(who, identity))).await;
    }
    let changed = change(&mut state, KeyRequest::Remove("ben".into())).await;
    lose_file(dir.path());
    let token = |state: &State| state.view().providers[&name]["token"].as_text().map(str::to_owned);
    let as_ben = open_as(dir.path(), &ben).await.expect("what was sealed before still opens");
    assert_eq!(token(&as_ben).as_deref(), Some("a token of acme's"));
    let mut as_ada = open_as(dir.path(), &ada).await.expect("it opens");
    write(&mut as_ada).await;
    let error = open_as(dir.path(), &ben).await.err().expect("what is written again does not");
    assert!(error.message.contains(&changed.current.to_string()), "{}", error.message);
    assert_eq!(token(&open_as(dir.path(), &ada).await.expect("it opens")).as_deref(), Some("a token of acme's"));
    // A program that names another instance by those settings does not make them that instance's.
    let entries = as_ada.entries().await.expect("entries");
    let mut exchanged = entries.clone();
    let at = exchanged.iter().rposition(|it| it.header.kind == "provider").expect("an entry");
    let body = String::from_utf8_lossy(&exchanged[at].body).replace("fly.eu", "fly.us");
    exchanged[at].body = body.into_bytes().into();
    assert!(as_ada.replay(&exchanged, |_, _, _| {}).is_err(), "sealed for another name");
}

#[tokio::test]
async fn a_store_begins_with_those_that_are_declared_and_with_no_key_file() {
    let dir = tempfile::tempdir().expect("a directory");
    let (ada, ci, eve) = (Identity::generate(), Identity::generate(), Identity::generate());
    let declared = [("ada", &ada), ("ci", &ci)];
    let error = new_store(dir.path(), &eve, &declared).await.expect("nothing is there").begin(header(&["local.value.a"])).await;
    let error = error.err().expect("eve could not read it again");
    assert!(error.code == Code::NoKey && error.message.contains("ada, ci"), "{}", error.message);
    // A plan before the first apply fits it: what waits beside the state is for its recipients alone.
    let mut planned = new_store(dir.path(), &ada, &declared).await.expect("a state");
    let sealed = planned.seal_blob("plan", b"effects").expect("sealed");
    let digest = planned.digester()(&Value::text("secret"));
    planned.refresh().await.expect("still nothing");
    let mut state = new_store(dir.path(), &ci, &declared).await.expect("a state");
    assert_eq!(state.open_blob("plan", &sealed).expect("it opens"), b"effects");
    assert_eq!(state.digester()(&Value::text("secret")), digest);
    create(&mut state, 1, "local.value.a").await;
    assert_eq!(state.open_blob("plan", &sealed).expect("it opens still"), b"effects");
    let names: Vec<_> = std::fs::read_dir(dir.path()).expect("a directory").flatten().map(|it| it.file_name()).collect();
    assert_eq!(names, ["production"], "no key lies beside the state");
    let kinds: Vec<String> = state.entries().await.expect("entries").iter().take(3).map(|it| it.header.kind.clone()).collect();
    assert_eq!(kinds, ["genesis", "key", "lease"], "in one append");
    for who in [&ada, &ci] {
        let opened = open_as(dir.path(), who).await.expect("it opens");
        assert_eq!(passwords(&opened), ["hunter2"]);
        assert_eq!(opened.key_book().holders.keys().collect::<Vec<_>>(), ["ada", "ci"]);
    }
    assert_eq!(open_as(dir.path(), &eve).await.err().map(|it| it.code), Some(Code::NoKey));
}

#[tokio::test]
async fn of_those_who_make_the_first_key_at_once_all_use_one() {
    let (ada, ci) = (Identity::generate(), Identity::generate());
    for declares in [false, true] {
        let dir = tempfile::tempdir().expect("a directory");
        let mut tasks = tokio::task::JoinSet::new();
        for nth in 0..6_u8 {
            let root = dir.path().to_owned();
            let (ada, ci) = (ada.clone(), ci.clone());
            tasks.spawn(async move {
                let declared = [("ada", &ada), ("ci", &ci)];
                let who = if nth % 2 == 0 { &ada } else { &ci };
                let mut state = match declares {
                    true => new_store(&root, who, &declared).await.expect("a state"),
                    false => open_with(&root, &[]).await.expect("a state"),
                };
                let digest = state.digester()(&Value::text("planned before there is a store"));
                create(&mut state, nth + 1, &format!("local.value.a{nth}")).await;
                (digest, state.key_book().current)
            });
        }
        let made = tasks.join_all().await;
        assert!(made.iter().all(|it| *it == made[0]), "one key for all: {made:?}");
        let opened = if declares { open_as(dir.path(), &ci).await } else { open_with(dir.path(), &[]).await };
        assert_eq!(passwords(&opened.expect("it opens")).len(), 6);
    }
}

#[tokio::test]
async fn changes_of_keys_and_applies_go_on_side_by_side() {
    let dir = tempfile::tempdir().expect("a directory");
    let (ada, ben) = (Identity::generate(), Identity::generate());
    let mut first = open_with(dir.path(), &[]).await.expect("a state");
    create(&mut first, 1, "local.value.a").await;
    let mut second = open_with(dir.path(), &[]).await.expect("a state");
    let run = first.begin(header(&["local.value.b"])).await.expect("a run");
    let secret = |n: u8| fields(&[("password", Value::text(format!("hunter{n}")).secret())]);
    let open = intent(2, "local.value.b", secret(2));
    run.append(vec![Body::Intent(Box::new(open.clone()))]).await.expect("an intent");
    change(&mut second, KeyRequest::Add(holder("ada", &ada))).await;
    change(&mut second, KeyRequest::Add(holder("ben", &ben))).await;
    let rotated = change(&mut second, KeyRequest::Rotate).await;
    run.append(vec![Body::Outcome(Box::new(done(&open, secret(3))))]).await.expect("the run goes on");
    run.finish(revision()).await.expect("and ends");
    lose_file(dir.path());
    let opened = open_as(dir.path(), &ben).await.expect("it opens");
    assert_eq!(passwords(&opened), ["hunter2", "hunter2"]);
    assert!(opened.view().void.is_empty(), "{:?}", opened.view().void);
    // What the run wrote after the change is sealed under the new key.
    let outcome = opened.entries().await.expect("entries").into_iter().rfind(|it| it.header.kind == "outcome");
    let body = String::from_utf8(outcome.expect("an outcome").body.to_vec()).expect("JSON");
    assert_eq!(sealed_under(&body), [rotated.current]);
}

/// The keys that the sealed texts of a body name.
fn sealed_under(body: &str) -> Vec<KeyId> {
    use base64::Engine as _;
    let texts = body.split('"').filter(|text| text.len() > 60);
    let bytes = texts.filter_map(|text| base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(text).ok());
    bytes.filter_map(|bytes| super::super::crypt::sealed_under(&bytes)).collect()
}

#[tokio::test]
async fn a_run_whose_holder_is_removed_ends_with_the_key_that_it_began_with() {
    let dir = tempfile::tempdir().expect("a directory");
    let (ada, ben) = (Identity::generate(), Identity::generate());
    let mut admin = new_store(dir.path(), &ada, &[("ada", &ada), ("ben", &ben)]).await.expect("a state");
    create(&mut admin, 1, "local.value.a").await;
    let mut theirs = open_as(dir.path(), &ben).await.expect("a state");
    let run = theirs.begin(header(&["local.value.b"])).await.expect("a run");
    change(&mut admin, KeyRequest::Remove("ben".into())).await;
    let inputs = fields(&[("password", Value::text("hunter3").secret())]);
    let open = intent(2, "local.value.b", inputs);
    run.append(vec![Body::Intent(Box::new(open.clone()))]).await.expect("an intent");
    run.append(vec![Body::Outcome(Box::new(done(&open, fields(&[]))))]).await.expect("an outcome");
    run.finish(revision()).await.expect("the run ends");
    assert_eq!(passwords(&open_as(dir.path(), &ada).await.expect("nothing is lost")), ["hunter2", "hunter3"]);
    // The next one of theirs does not begin to seal anything.
    let mut theirs = open_as(dir.path(), &ben).await.expect("what was opens still");
    let run = theirs.begin(header(&["local.value.c"])).await.expect("a run");
    let open = intent(3, "local.value.c", fields(&[("password", Value::text("hunter4").secret())]));
    let error = run.append(vec![Body::Intent(Box::new(open))]).await.expect_err("the new key is not theirs");
    assert_eq!(error.code, Code::NoKey, "{}", error.message);
}

#[tokio::test]
async fn whoever_can_write_to_the_store_but_has_no_key_lets_nobody_in() {
    let dir = tempfile::tempdir().expect("a directory");
    let (ada, eve) = (Identity::generate(), Identity::generate());
    let mut state = new_store(dir.path(), &ada, &[("ada", &ada)]).await.expect("a state");
    create(&mut state, 1, "local.value.a").await;
    let last = state.entries().await.expect("entries").pop().expect("an entry");
    let append = async |change: &KeyChange, previous: Digest| {
        let mut body = change.unproven();
        if let Some(proof) = change.proof {
            let text = String::from_utf8(body).expect("JSON").replace("\"reason\"", &format!("\"proof\":\"{proof}\",\"reason\""));
            body = text.into_bytes();
        }
        let header = Header {
            format: FORMAT,
            store: last.header.store,
            sequence: last.header.sequence + 1,
            epoch: 0,
            run: 0,
            time_ms: 0,
            kind: "key".into(),
            previous,
            body: Digest::of(&body),
        };
        let entry = Entry { header, body: body.into() };
        let copy = tempfile::tempdir().expect("a directory");
        let store = crate::state::store::embedded::Embedded::at(copy.path().join("production"));
        use crate::state::Store as _;
        let mut all = state.entries().await.expect("entries");
        all.push(entry);
        store.append(None, all).await.expect("whoever can write can append");
        open_as(copy.path(), &ada).await
    };
    // Their own key in the place of the current one, so that what comes is sealed for them.
    let key = KeyId([1, 2, 3, 4]);
    let wrap = Wrap { key, recipient: ada.recipient(), sealed: vec![0; 200] };
    let forged = KeyChange {
        current: Some(key),
        add: vec![holder("eve", &eve)],
        wraps: vec![wrap],
        after: Some(last.hash()),
        ..KeyChange::default()
    };
    for proof in [None, Some(Digest([7; 32]))] {
        let error = append(&KeyChange { proof, ..forged.clone() }, last.hash()).await.err().expect("nobody believes it");
        assert_eq!(error.code, Code::DamagedState, "{}", error.message);
        assert!(error.message.contains("nobody who had their key"), "{}", error.message);
    }
    // A true one, said once more later, to bring somebody back.
    change(&mut state, KeyRequest::Add(holder("ben", &eve))).await;
    let entry = state.entries().await.expect("entries").pop().expect("an entry");
    let body = String::from_utf8(entry.body.to_vec()).expect("JSON");
    change(&mut state, KeyRequest::Remove("ben".into())).await;
    let last = state.entries().await.expect("entries").pop().expect("an entry");
    let header = Header { sequence: last.header.sequence + 1, previous: last.hash(), ..entry.header.clone() };
    let mut entries = state.entries().await.expect("entries");
    entries.push(Entry { header, body: body.into() });
    assert_eq!(state.replay(&entries, |_, _, _| {}).err().map(|it| it.code), Some(Code::DamagedState));
}

#[tokio::test]
async fn a_passphrase_opens_and_a_rotation_does_not_need_it() {
    let dir = tempfile::tempdir().expect("a directory");
    let ada = Identity::generate();
    let mut state = new_store(dir.path(), &ada, &[("ada", &ada)]).await.expect("a state");
    create(&mut state, 1, "local.value.a").await;
    let holder = with_passphrase("team", "correct horse battery").expect("a holder");
    change(&mut state, KeyRequest::Add(holder)).await;
    change(&mut state, KeyRequest::Rotate).await;
    create(&mut state, 2, "local.value.b").await;
    let right = [("STACKWRIGHT_PASSPHRASE", "correct horse battery")];
    assert_eq!(passwords(&open_with(dir.path(), &right).await.expect("it opens")).len(), 2);
    let error = open_with(dir.path(), &[("STACKWRIGHT_PASSPHRASE", "correct horse bakery")]).await.err().expect("another one");
    let said = format!("{error:?}");
    assert!(error.code == Code::NoKey && said.contains("it is not the passphrase of team"), "{said}");
    assert!(!said.contains("bakery"), "{said}");
    let file = dir.path().join("passphrase");
    std::fs::write(&file, "correct horse battery\n").expect("written");
    let named = [("STACKWRIGHT_PASSPHRASE_FILE", file.to_str().expect("a path"))];
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o640)).expect("its mode");
    let said = format!("{:?}", open_with(dir.path(), &named).await.err().expect("others can read it"));
    assert!(said.contains("mode 640"), "{said}");
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).expect("its mode");
    open_with(dir.path(), &named).await.expect("it opens");
}

#[tokio::test]
async fn keys_are_taken_from_the_first_place_that_has_them() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut state = open_with(dir.path(), &[]).await.expect("a state");
    create(&mut state, 1, "local.value.a").await;
    let text = std::fs::read_to_string(dir.path().join("key")).expect("a key");
    lose_file(dir.path());
    let lost = dir.path().join("key.lost");
    let path = lost.to_str().expect("a path");
    for variables in [&[("STACKWRIGHT_KEY", text.as_str())][..], &[("STACKWRIGHT_KEY_FILE", path)]] {
        assert_eq!(passwords(&open_with(dir.path(), variables).await.expect("it opens")), ["hunter2"]);
    }
    let error = open_with(dir.path(), &[("STACKWRIGHT_KEY", "hunter2hunter2")]).await.err().expect("no key");
    let said = format!("{error:?}");
    assert!(said.contains("STACKWRIGHT_KEY: it is not the content of a key file") && !said.contains("hunter2h"), "{said}");
    // A key in a variable cannot be written to.
    let mut state = open_with(dir.path(), &[("STACKWRIGHT_KEY", &text)]).await.expect("it opens");
    let error = state.change_keys(&KeyRequest::Rotate, "dkim", "drill").await.expect_err("nowhere to put it");
    assert!(error.code == Code::Usage && format!("{error:?}").contains("STACKWRIGHT_KEY"), "{}", error.message);
    // A named file that is not there is no new beginning.
    let other = tempfile::tempdir().expect("a directory");
    let gone = other.path().join("gone");
    let mut state =
        open_with(other.path(), &[("STACKWRIGHT_KEY_FILE", gone.to_str().expect("a path"))]).await.expect("nothing there");
    let error = state.begin(header(&["local.value.a"])).await.err().expect("no key");
    assert!(error.message.contains("STACKWRIGHT_KEY_FILE"), "{}", error.message);
    assert!(!gone.exists());
    // An identity that others can read is not used, and that is said.
    let ada = Identity::generate();
    std::fs::rename(&lost, dir.path().join("key")).expect("it is back");
    let mut state = open_with(dir.path(), &[]).await.expect("it opens");
    change(&mut state, KeyRequest::Add(holder("ada", &ada))).await;
    lose_file(dir.path());
    let file = dir.path().join("identity");
    std::fs::write(&file, ada.text().as_bytes()).expect("written");
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o604)).expect("its mode");
    let named = [("STACKWRIGHT_IDENTITY_FILE", file.to_str().expect("a path"))];
    let said = format!("{:?}", open_with(dir.path(), &named).await.err().expect("others can read it"));
    assert!(said.contains("others can read it (mode 604)"), "{said}");
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).expect("its mode");
    open_with(dir.path(), &named).await.expect("it opens");
}

#[tokio::test]
async fn a_rotated_key_is_in_the_key_file_and_plans_of_before_still_open() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut state = open_with(dir.path(), &[]).await.expect("a state");
    create(&mut state, 1, "local.value.a").await;
    let sealed = state.seal_blob("plan", b"effects").expect("sealed");
    let digest = state.digester()(&Value::text("a secret"));
    let changed = change(&mut state, KeyRequest::Rotate).await;
    assert_eq!(changed.file.as_deref(), Some(&*dir.path().join("key")));
    let key = std::fs::read_to_string(dir.path().join("key")).expect("the key file");
    assert_eq!(key.lines().count(), 2);
    assert_eq!(std::fs::metadata(dir.path().join("key")).expect("a file").permissions().mode() & 0o777, 0o600);
    let mut state = open_with(dir.path(), &[]).await.expect("it opens");
    create(&mut state, 2, "local.value.b").await;
    assert_ne!(state.digester()(&Value::text("a secret")), digest, "another key, another digest");
    assert_eq!(state.open_blob("plan", &sealed).expect("it opens"), b"effects");
    assert_eq!(state.digester()(&Value::text("a secret")), digest, "that of the plan, to compare with what it says");
    // With the older half of the file alone what is new cannot be read, and the message says which key is missing.
    std::fs::write(dir.path().join("key"), key.lines().next().expect("a line")).expect("written");
    let error = open_with(dir.path(), &[]).await.err().expect("half of the keys");
    assert!(error.message.contains(&changed.current.to_string()), "{}", error.message);
    let said = format!("{error:?}");
    assert!(said.contains("holds "), "{said}");
}

#[tokio::test]
async fn the_key_file_is_left_behind_only_for_somebody() {
    let dir = tempfile::tempdir().expect("a directory");
    let ada = Identity::generate();
    let mut state = open_with(dir.path(), &[]).await.expect("a state");
    assert_eq!(state.change_keys(&KeyRequest::Rotate, "dkim", "x").await.expect_err("nothing there").code, Code::Usage);
    create(&mut state, 1, "local.value.a").await;
    let leave = KeyRequest::Remove(KEY_FILE.into());
    assert_eq!(state.change_keys(&leave, "dkim", "x").await.expect_err("for nobody").code, Code::Usage);
    let unknown = state.change_keys(&KeyRequest::Remove("ada".into()), "dkim", "x").await.expect_err("nobody");
    assert_eq!(unknown.code, Code::UnknownName);
    change(&mut state, KeyRequest::Add(holder("ada", &ada))).await;
    let twice = state.change_keys(&KeyRequest::Add(holder("other", &ada)), "dkim", "x").await.expect_err("the same");
    assert_eq!(twice.code, Code::Usage);
    let changed = change(&mut state, leave).await;
    assert_eq!(changed.file, None);
    create(&mut state, 2, "local.value.b").await;
    let error = open_with(dir.path(), &[]).await.err().expect("the file does not have the new key");
    assert!(error.message.contains("cannot be opened here"), "{}", error.message);
    assert_eq!(passwords(&open_as(dir.path(), &ada).await.expect("it opens")), ["hunter2", "hunter2"]);
    let mut state = open_as(dir.path(), &ada).await.expect("it opens");
    let last = state.change_keys(&KeyRequest::Remove("ada".into()), "dkim", "x").await.expect_err("the only one");
    assert_eq!(last.code, Code::Usage);
}
