//! Encrypted lines to real servers, with authorities that the tests make, and credentials that a web identity gets over one.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use stackwright::state::contract::{Store, StoreError};
use stackwright::state::store::postgres::Postgres;
use stackwright::state::store::postgres::address::Address;
use stackwright::state::store::promises::entries;
use stackwright::world::World;
use tempfile::TempDir;

use crate::carry::Person;
use crate::servers::{self, has};

/// Who signs certificates.
struct Authority {
    dir: TempDir,
}

/// A certificate for `localhost`, and its key.
struct Certificate {
    file: PathBuf,
    key: PathBuf,
}

impl Authority {
    /// `None` where there is no openssl.
    fn new() -> Option<Authority> {
        has("openssl", Command::new("openssl").arg("version").output().is_ok()).then_some(())?;
        let authority = Authority { dir: tempfile::tempdir().expect("a directory") };
        authority.openssl("req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout ca.key -out ca.crt -days 2 -subj /CN=test");
        std::fs::write(authority.dir.path().join("names"), "subjectAltName=DNS:localhost\n").expect("written");
        Some(authority)
    }

    fn openssl(&self, arguments: &str) {
        let asked = Command::new("openssl").args(arguments.split(' ')).current_dir(self.dir.path()).output().expect("it starts");
        assert!(asked.status.success(), "{arguments}: {}", String::from_utf8_lossy(&asked.stderr));
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// One that is good for so many days; fewer than none are over.
    fn certificate(&self, name: &str, days: i32) -> Certificate {
        self.openssl(&format!("req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout {name}.key -out {name}.csr -subj /CN=localhost"));
        self.openssl(&format!(
            "x509 -req -in {name}.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days {days} -extfile names -out {name}.crt"
        ));
        Certificate { file: self.path(&format!("{name}.crt")), key: self.path(&format!("{name}.key")) }
    }
}

fn open(url: &str, mode: &str, roots: &Path) -> Postgres {
    let url = format!("{url}?sslmode={mode}&sslrootcert={}", roots.display());
    let address = Address::find(None, &|name| (name == "STACKWRIGHT_STATE_URL").then(|| url.clone()));
    Postgres::new(address.map_err(|it| it.0).expect("an address"), "stackwright", "a/b", &World::real(), Arc::new(|_| {}))
        .expect("a store")
}

async fn refused(store: Postgres, words: &str, way_out: &str) {
    let answer = store.head().await;
    let named = matches!(&answer, Err(StoreError::Refused { why, help, .. }) if why.contains(words) && help.contains(way_out));
    assert!(named, "{words:?} and {way_out:?} are not in {answer:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_is_believed_by_its_certificate() {
    let (Some(ours), Some(strange)) = (Authority::new(), Authority::new()) else { return };
    let Some(server) = servers::Postgres::start(&[]) else { return };
    let (roots, others) = (ours.path("ca.crt"), strange.path("ca.crt"));
    let by_address = server.url("owner");
    let by_name = by_address.replace("127.0.0.1", "localhost");
    refused(open(&by_address, "require", &roots), "the server does not encrypt", "sslmode=disable").await;

    let good = ours.certificate("good", 2);
    server.encrypt(&good.file, &good.key);
    let store = open(&by_name, "verify-full", &roots);
    let head = store.append(None, entries(None, &["{}"])).await.expect("it is trusted");
    let encrypted = "select count(*) > 0 from pg_stat_ssl join pg_stat_activity using (pid) where application_name = 'stackwright' and ssl";
    assert_eq!(server.sql(encrypted).as_deref(), Ok("t"));
    for (url, mode, roots) in [(&by_address, "require", &others), (&by_address, "verify-ca", &roots), (&by_address, "prefer", &others)] {
        assert_eq!(open(url, mode, roots).head().await.expect(mode), Some(head));
    }
    for mode in ["verify-ca", "verify-full"] {
        refused(open(&by_name, mode, &others), "certificate is not accepted", "PGSSLROOTCERT").await;
    }
    refused(open(&by_address, "verify-full", &roots), "not valid for name", "sslmode=verify-ca").await;

    let over = ours.certificate("over", -1);
    server.encrypt(&over.file, &over.key);
    for mode in ["verify-ca", "verify-full"] {
        refused(open(&by_name, mode, &roots), "expired", "renew the server's certificate").await;
    }
    assert_eq!(open(&by_name, "require", &roots).head().await.expect("not looked at"), Some(head));
}

#[test]
fn a_web_identity_gets_credentials_for_a_bucket() {
    let Some(authority) = Authority::new() else { return };
    let certificate = authority.certificate("bucket", 2);
    let Some(server) = servers::Bucket::start_encrypted(&certificate.file, &certificate.key) else { return };
    let url = format!("https://localhost:{}", server.port());
    let made = Command::new("curl").args(["-sfk", "-X", "PUT", &format!("{url}/state")]).stdout(Stdio::null()).status();
    assert!(made.is_ok_and(|made| made.success()), "the bucket is made");
    let token = authority.path("token");
    std::fs::write(&token, "a token of ci").expect("written");
    let person = Person::new(&[
        ("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/ci".to_owned()),
        ("AWS_WEB_IDENTITY_TOKEN_FILE", token.display().to_string()),
        ("AWS_ENDPOINT_URL_STS", url.clone()),
        ("SSL_CERT_FILE", authority.path("ca.crt").display().to_string()),
    ]);
    person.keeps_state_in(&format!("s3 {{ bucket = \"state\", endpoint = \"{url}\" }}"));
    person.done(&["apply", "--yes"]);
    person.done(&["verify"]);
    std::fs::remove_file(&token).expect("removed");
    person.refused(&["plan"], &["the web identity was not accepted", "AWS_WEB_IDENTITY_TOKEN_FILE"]);
}
