//! The store that a text names.

use std::sync::Arc;

use stackwright::state::Store;
use stackwright::state::store::embedded::Embedded;
use stackwright::state::store::postgres::Postgres;
use stackwright::state::store::postgres::address::Address;
use stackwright::state::store::s3::S3;
use stackwright::state::store::s3::bucket::{Asked, Bucket};
use stackwright::world::World;

use super::servers::{KEY, SECRET};

/// `dir:PATH`, `postgres:URL`, or `s3:PORT` of a server on this machine.
pub fn open(named: &str, world: &World) -> Arc<dyn Store> {
    let quiet = Arc::new(|_: &str| {});
    match named.split_once(':') {
        Some(("dir", path)) => Arc::new(Embedded::at(path.into())),
        Some(("postgres", url)) => {
            let url = url.to_owned();
            let variable = move |name: &str| (name == "STACKWRIGHT_STATE_URL").then(|| url.clone());
            let address = Address::find(None, &variable).map_err(|it| it.0).expect("an address");
            Arc::new(Postgres::new(address, "stackwright", "shop/production", world, quiet).expect("a store"))
        }
        Some(("s3", port)) => {
            let endpoint = Some(format!("http://127.0.0.1:{port}"));
            let asked = Asked { bucket: "state".into(), prefix: "team".into(), endpoint, ..Asked::default() };
            let variable = |name: &str| match name {
                "AWS_ACCESS_KEY_ID" => Some(KEY.to_owned()),
                "AWS_SECRET_ACCESS_KEY" => Some(SECRET.to_owned()),
                _ => None,
            };
            Arc::new(S3::new(Bucket::find(&asked, &variable).expect("a bucket"), "shop/production", world, quiet))
        }
        _ => panic!("no store is called {named}"),
    }
}
