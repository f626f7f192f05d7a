//! Who may sign, and what becomes of those who may not.

use super::*;
use crate::state::log::{signature_of, signer_of};
use crate::state::sign::{PublicKey, SigningKey};
use crate::state::store::memory::Memory;

fn key(of: u8) -> Arc<SigningKey> {
    Arc::new(SigningKey::of_seed(&[of; 32]))
}

fn change(action: SignerAction, key: PublicKey, name: &str) -> SignerChange {
    SignerChange { action, key, name: name.into(), reason: "a test".into(), who: "dkim".into(), by: None }
}

/// One run that changes the signers.
pub(crate) async fn change_signers(state: &mut State, changes: Vec<SignerChange>) -> Result<(), Box<Diagnostic>> {
    let run = state.begin(header(&[])).await?;
    for it in changes {
        run.append(vec![Body::Signer(Box::new(it))]).await?;
    }
    run.finish(revision()).await?;
    state.refresh().await
}

#[tokio::test]
async fn each_revision_is_signed_by_the_key_of_its_process() {
    let mut state = State::memory("production", &World::real());
    create(&mut state, 1, "local.value.a").await;
    assert!(state.entries().await.expect("entries").iter().all(|it| signature_of(it).is_none()), "no key, no signature");
    state.sign_with(key(7));
    create(&mut state, 2, "local.value.b").await;
    let entries = state.entries().await.expect("entries");
    let [.., revision, last] = &entries[..] else { panic!("a revision and its signature") };
    let signature = signature_of(last).expect("a signature");
    assert_eq!((signature.of, signature.key), (revision.head(), key(7).public()));
    let store = state.store_id().expect("an id");
    assert!(signature.key.signed_head(store, signature.of, &signature.signature));
    assert!(!signature.key.signed_head(StoreId([1; 16]), signature.of, &signature.signature), "another store");
    assert!(!signature.key.signed_head(store, last.head(), &signature.signature), "another head");
    assert!(!key(8).public().signed_head(store, signature.of, &signature.signature), "another key");
    assert!(state.view().void.is_empty());
    // The next run begins behind the signature.
    create(&mut state, 3, "local.value.c").await;
    assert_eq!(state.view().revision, 3);
}

#[tokio::test]
async fn with_signers_a_run_needs_one_of_their_keys() {
    let store = Arc::new(Memory::default());
    let world = World::real();
    let mut state = State::empty(store.clone(), "production", &world);
    change_signers(&mut state, vec![change(SignerAction::Add, key(7).public(), "ci")]).await.expect("the first is trusted");
    let refused = state.begin(header(&["local.value.a"])).await.err().expect("no key");
    assert_eq!(refused.code, Code::NoSigner);
    assert!(refused.notes.iter().any(|(head, text)| *head == "signers" && text.contains("ci (SHA256:")), "{refused:?}");
    state.sign_with(key(8));
    let refused = state.begin(header(&["local.value.a"])).await.err().expect("not one of them");
    assert!(refused.notes.iter().any(|(head, text)| *head == "key" && *text == key(8).public().fingerprint()), "{refused:?}");
    let mut state = state.again().await.expect("it opens").with_key(key(7));
    create(&mut state, 1, "local.value.a").await;
    state.rebuild().await.expect("a snapshot");
    assert_eq!(state.again().await.expect("from its snapshot").view().signers.len(), 1);
}

#[tokio::test]
async fn the_list_changes_only_as_one_of_it_says() {
    let store = Arc::new(Memory::default());
    let world = World::real();
    let mut state = State::empty(store.clone(), "production", &world).with_key(key(7));
    let add = |of: u8, name: &str| change(SignerAction::Add, key(of).public(), name);
    let remove = |of: u8| change(SignerAction::Remove, key(of).public(), "");
    change_signers(&mut state, vec![add(7, "ci"), add(8, "dkim")]).await.expect("two signers");
    assert_eq!(state.view().signers.values().map(|it| it.name.as_str()).collect::<Vec<_>>().len(), 2);
    let entries = state.entries().await.expect("entries");
    assert_eq!(entries.iter().filter_map(signer_of).filter(|it| it.by.is_some()).count(), 2);

    // Twice the same, one that is none, the last one: void, and the list stays.
    change_signers(&mut state, vec![add(8, "again"), remove(9), remove(8), remove(7)]).await.expect("a run");
    assert_eq!(state.view().void.len(), 3, "{:?}", state.view().void);
    assert_eq!(state.view().signers.keys().collect::<Vec<_>>(), [&key(7).public()]);

    // A change by somebody who is none, as a faulty or a hostile writer would append it.
    let mut foreign = add(9, "mallory");
    let head = state.view().head.expect("a head");
    key(9).sign_change(state.store_id().expect("an id"), head, &mut foreign);
    let mut view = state.view().clone();
    let last = state.entries().await.expect("entries").pop().expect("an entry");
    let lease = Lease { run: view.run + 1, ..Lease::default() };
    let lease_header =
        contract::Header { sequence: head.sequence + 1, run: lease.run, previous: head.hash, ..last.header.clone() };
    view.fold(&lease_header, head, Body::Lease(lease.clone()));
    let header = contract::Header {
        sequence: head.sequence + 2,
        epoch: head.sequence + 1,
        run: lease.run,
        previous: head.hash,
        ..last.header.clone()
    };
    for (change, why) in [(foreign.clone(), "does not hold"), (add(9, "mallory"), "no signer agreed")] {
        view.fold(&header, head, Body::Signer(Box::new(change)));
        let (_, words) = view.void.last().expect("it is void");
        assert!(words.contains(why), "{words}");
    }
    let after = Head { sequence: head.sequence + 1, hash: head.hash };
    key(9).sign_change(state.store_id().expect("an id"), after, &mut foreign);
    view.fold(&header, head, Body::Signer(Box::new(foreign)));
    assert!(view.void.last().expect("it is void").1.contains("was no signer"), "{:?}", view.void);
    assert_eq!(view.signers.len(), 1);
}
