//! Encrypted lines to real servers, with authorities that the tests make, and credentials that a web identity gets over one.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
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
        authority.openssl(
            "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout ca.key -out ca.crt -days 2 -subj /CN=test",
        );
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
        self.openssl(&format!(
            "req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout {name}.key -out {name}.csr -subj /CN=localhost"
        ));
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
    let encrypted =
        "select count(*) > 0 from pg_stat_ssl join pg_stat_activity using (pid) where application_name = 'stackwright' and ssl";
    assert_eq!(server.sql(encrypted).as_deref(), Ok("t"));
    for (url, mode, roots) in
        [(&by_address, "require", &others), (&by_address, "verify-ca", &roots), (&by_address, "prefer", &others)]
    {
        assert_eq!(open(url, mode, roots).head().await.expect(mode), Some(head));
    }
    for mode in ["verify-ca", "verify-full"] {
        refused(open(&by_name, mode, &others), "certificate is not accepted", "PGSSLROOTCERT").await;
    }
    refused(open(&by_address, "verify-full", &roots), "certificate", "sslmode=verify-ca").await;

    let over = ours.certificate("over", -1);
    server.encrypt(&over.file, &over.key);
    for mode in ["verify-ca", "verify-full"] {
        refused(open(&by_name, mode, &roots), "expired", "renew the server's certificate").await;
    }
    assert_eq!(open(&by_name, "require", &roots).head().await.expect("not looked at"), Some(head));
}

/// An encrypted line to `moto_server`'s own service of identities, which wants in the body what clients put into the address.
fn sts_before(moto: u16, certificate: &Certificate) -> u16 {
    let chain = CertificateDer::pem_file_iter(&certificate.file).expect("a file").collect::<Result<Vec<_>, _>>();
    let key = PrivateKeyDer::from_pem_file(&certificate.key).expect("a key");
    let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(chain.expect("certificates"), key);
    let config = Arc::new(config.expect("a certificate"));
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    let port = listener.local_addr().expect("an address").port();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let connection = rustls::ServerConnection::new(config.clone()).expect("a connection");
            let mut line = BufReader::new(rustls::StreamOwned::new(connection, stream));
            let mut request = String::new();
            if line.read_line(&mut request).is_err() {
                continue;
            }
            let query = request.split(['?', ' ']).nth(2).unwrap_or_default();
            let form = "POST / HTTP/1.1\r\nContent-Type: application/x-www-form-urlencoded";
            let answer = servers::asked(moto, &format!("{form}\r\nContent-Length: {}", query.len()), query).unwrap_or_default();
            let line = line.get_mut();
            let _ = line.write_all(answer.as_bytes());
            line.conn.send_close_notify();
            let _ = line.flush();
        }
    });
    port
}

#[test]
fn a_web_identity_gets_credentials_for_a_bucket() {
    let Some(authority) = Authority::new() else { return };
    let Some(server) = servers::Bucket::start() else { return };
    if server.keeps_objects() {
        eprintln!("skipped: this server hands out no credentials");
        return;
    }
    let sts = sts_before(server.port(), &authority.certificate("sts", 2));
    let token = authority.path("token");
    std::fs::write(&token, "a token of ci").expect("written");
    let person = Person::new(&[
        ("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/ci".to_owned()),
        ("AWS_WEB_IDENTITY_TOKEN_FILE", token.display().to_string()),
        ("AWS_ENDPOINT_URL_STS", format!("https://localhost:{sts}")),
        ("SSL_CERT_FILE", authority.path("ca.crt").display().to_string()),
    ]);
    person.keeps_state_in(&format!("s3 {{ bucket = \"state\", endpoint = \"http://127.0.0.1:{}\" }}", server.port()));
    person.done(&["apply", "--yes"]);
    person.done(&["verify"]);
    std::fs::remove_file(&token).expect("removed");
    person.refused(&["plan"], &["the web identity was not accepted", "AWS_WEB_IDENTITY_TOKEN_FILE"]);
}
