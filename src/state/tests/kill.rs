//! A process that applies is killed at any moment: what it was told is durable is there, and the next one takes over at once.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use super::{address, done, fields, header, intent, revision};
use crate::model::Code;
use crate::state::{Body, OpenIntent, OperationId, Settled, Settlement, State};
use crate::world::World;

const DIRECTORY: &str = "STACKWRIGHT_TEST_STATE";

/// The process that is killed: not a test of its own. Says each operation that it was told is durable.
#[tokio::test]
#[ignore = "the child of the test below"]
async fn child() {
    let Some(dir) = std::env::var_os(DIRECTORY) else { return };
    let mut state = State::open_local(dir.as_ref(), "production", &World::real()).await.expect("a state");
    let run = state.begin(header(&["local.value"])).await;
    let run = match run {
        Ok(run) => run,
        Err(error) => panic!("{} {:?}", error.message, error.notes),
    };
    let number = run.number();
    for at in 0.. {
        let mut it = intent(0, &format!("local.value/local.value.r{number}_{at}"), fields(&[]));
        it.operation = OperationId((u128::from(number) << 64 | at).to_be_bytes());
        run.append(vec![Body::Intent(Box::new(it.clone()))]).await.expect("an intent");
        println!("open {}", it.address);
        run.append(vec![Body::Outcome(Box::new(done(&it, fields(&[]))))]).await.expect("an outcome");
        println!("done {}", it.address);
    }
}

#[tokio::test]
async fn what_was_acknowledged_before_a_kill_is_there_after_it() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut recorded = Vec::new();
    for round in 0u64..8 {
        let mut child = Command::new(std::env::current_exe().expect("this test"))
            .args(["state::tests::kill::child", "--exact", "--ignored", "--nocapture", "--test-threads=1"])
            .env(DIRECTORY, dir.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("a child");
        let mut lines = BufReader::new(child.stdout.take().expect("its output")).lines().map_while(Result::ok);
        let said: Vec<String> = lines.by_ref().filter(|line| is_said(line)).take(1 + 3 * round as usize).collect();
        assert_eq!(said.len(), 1 + 3 * round as usize, "the child stopped by itself");
        // While it lives, nobody else writes there.
        let mut state = State::open_local(dir.path(), "production", &World::real()).await.expect("reading needs no lock");
        if round % 4 == 0 {
            assert_eq!(state.begin(header(&["local.value"])).await.err().map(|it| it.code), Some(Code::Locked));
        }
        child.kill().expect("it lives");
        child.wait().expect("it is dead");
        let said = said.into_iter().chain(lines.filter(|line| is_said(line)));
        let (mut open, mut over) = (Vec::new(), Vec::new());
        for line in said {
            let (word, at) = line.split_once(' ').expect("a word and an address");
            if word == "done" { over.push(address(at)) } else { open.push(address(at)) }
        }
        recorded.extend(over);

        let mut state = State::open_local(dir.path(), "production", &World::real()).await.expect("it opens");
        assert!(recorded.iter().all(|at| state.view().records.contains_key(at)), "a record was lost");
        let known = |at| state.view().records.contains_key(at) || state.view().open.values().any(|it| it.intent.address == *at);
        assert!(open.iter().all(known), "an intent was lost");
        let run = state.begin(header(&["local.value"])).await.expect("the next takes over at once");
        let unsettled = run.unsettled();
        assert!(unsettled.len() <= 1, "one call was under way");
        let settled = |open: &std::sync::Arc<OpenIntent>| {
            let (how, words) = (Settlement::Absent, "looked, and there is nothing".into());
            Body::Settled(Box::new(Settled { operation: open.intent.operation, how, writes: Vec::new(), words }))
        };
        run.append(unsettled.iter().map(settled).collect()).await.expect("it is settled");
        run.finish(revision()).await.expect("it ends");
    }
    assert!(recorded.len() > 20);
}

fn is_said(line: &str) -> bool {
    line.starts_with("open ") || line.starts_with("done ")
}
