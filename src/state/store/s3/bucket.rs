//! Where the bucket is and who asks: what the program says, and the variables that every client of S3 reads. Credentials come from
//! variables, from a web identity (CI), from a container or from the machine itself, never from a program.

use std::sync::Arc;

use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use object_store::{ClientOptions, ObjectStore, RetryConfig};

use crate::model::KnownSecrets;
use crate::state::store::patience::{CONNECT, WHOLE};

/// What the program says.
#[derive(Clone, Default, Debug)]
pub struct Asked {
    pub bucket: String,
    pub prefix: String,
    pub region: Option<String>,
    /// The URL of a server that is not of AWS.
    pub endpoint: Option<String>,
    /// `https://endpoint/bucket` instead of `https://bucket.endpoint`; by default with an endpoint of one's own.
    pub path_style: Option<bool>,
}

/// A bucket, to which nothing was sent yet.
pub struct Bucket {
    pub objects: Arc<dyn ObjectStore>,
    pub prefix: String,
    /// For messages.
    pub shown: String,
    /// Without any credentials in the variables the machine's own are asked for.
    pub has_credentials: bool,
    pub secrets: KnownSecrets,
}

/// Variables that say who asks, and how objects are encrypted there. Others that clients know would change what conditions mean.
const VARIABLES: &[&str] = &[
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_ROLE_ARN",
    "AWS_ROLE_SESSION_NAME",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_ENDPOINT_URL_STS",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
    "AWS_METADATA_ENDPOINT",
    "AWS_REQUEST_PAYER",
    "AWS_SERVER_SIDE_ENCRYPTION",
    "AWS_SSE_KMS_KEY_ID",
    "AWS_SSE_BUCKET_KEY_ENABLED",
];

impl Bucket {
    /// Errors: what is wrong and what to do.
    pub fn find(asked: &Asked, variable: &dyn Fn(&str) -> Option<String>) -> Result<Bucket, (String, String)> {
        let set = |name: &str| variable(name).filter(|value| !value.is_empty());
        let named = (3..=255).contains(&asked.bucket.len())
            && asked.bucket.bytes().all(|it| it.is_ascii_alphanumeric() || matches!(it, b'-' | b'.' | b'_'));
        if !named {
            let why = format!("no bucket can be called `{}`", asked.bucket.escape_debug());
            return Err((why, "a bucket's name has 3 to 63 letters, digits, hyphens and dots".into()));
        }
        let secrets = KnownSecrets::default();
        let mut builder = AmazonS3Builder::new().with_bucket_name(&asked.bucket);
        let mut has_credentials = false;
        for name in VARIABLES {
            let (Some(value), Ok(key)) = (set(name), name.to_ascii_lowercase().parse::<AmazonS3ConfigKey>()) else { continue };
            if matches!(*name, "AWS_SECRET_ACCESS_KEY" | "AWS_SESSION_TOKEN") {
                secrets.add(&value);
            }
            has_credentials |= name.contains("ACCESS_KEY") || name.contains("WEB_IDENTITY") || name.contains("CONTAINER_CRED");
            builder = builder.with_config(key, value);
        }
        let region = asked.region.clone().or_else(|| set("AWS_REGION")).or_else(|| set("AWS_DEFAULT_REGION"));
        if let Some(region) = &region {
            builder = builder.with_region(region);
        }
        let endpoint = asked.endpoint.clone().or_else(|| set("AWS_ENDPOINT_URL_S3")).or_else(|| set("AWS_ENDPOINT_URL"));
        let path_style = asked.path_style.unwrap_or(endpoint.is_some());
        if let Some(endpoint) = &endpoint {
            builder = builder.with_endpoint(with_bucket(endpoint, &asked.bucket, path_style)?);
        }
        let is_plain = endpoint.as_ref().is_some_and(|it| it.starts_with("http://"));
        let client = ClientOptions::new().with_connect_timeout(CONNECT).with_timeout(4 * WHOLE).with_allow_http(is_plain);
        // Attempts are counted, and told of, by whoever asks.
        let retry = RetryConfig { max_retries: 0, retry_timeout: WHOLE, ..RetryConfig::default() };
        let built = builder.with_virtual_hosted_style_request(!path_style).with_client_options(client).with_retry(retry).build();
        let objects = built.map_err(|error| {
            let help = "`s3 { bucket, prefix, region, endpoint, path_style }`, and the variables AWS_…, say where the bucket is";
            (secrets.clean(&error.to_string()), help.to_owned())
        })?;
        let at = endpoint.map_or_else(String::new, |endpoint| format!(" at {endpoint}"));
        Ok(Bucket {
            objects: Arc::new(objects),
            prefix: asked.prefix.clone(),
            shown: format!("s3://{}{at}", asked.bucket),
            has_credentials,
            secrets,
        })
    }
}

/// The endpoint, with the bucket in its host where it belongs there.
fn with_bucket(endpoint: &str, bucket: &str, path_style: bool) -> Result<String, (String, String)> {
    let wrong = || {
        let why = format!("`{}` is no URL of a server", endpoint.escape_debug());
        (why, "write the endpoint as `https://HOST`, without a user and a path".to_owned())
    };
    let mut url = url::Url::parse(endpoint).map_err(|_| wrong())?;
    let fits = matches!(url.scheme(), "http" | "https") && url.username().is_empty() && url.password().is_none();
    let host = url.host_str().filter(|_| fits).ok_or_else(wrong)?.to_owned();
    if !path_style && !host.starts_with(&format!("{bucket}.")) {
        url.set_host(Some(&format!("{bucket}.{host}"))).map_err(|_| wrong())?;
    }
    Ok(url.as_str().trim_end_matches('/').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(asked: &Asked, variables: &[(&str, &str)]) -> Result<Bucket, (String, String)> {
        Bucket::find(asked, &|name| variables.iter().find(|(set, _)| *set == name).map(|(_, value)| (*value).to_owned()))
    }

    fn acme(endpoint: Option<&str>) -> Asked {
        Asked { bucket: "acme-state".into(), endpoint: endpoint.map(str::to_owned), ..Asked::default() }
    }

    #[test]
    fn the_program_says_where_and_variables_say_who() {
        let keys =
            [("AWS_ACCESS_KEY_ID", "AKIA"), ("AWS_SECRET_ACCESS_KEY", "very s3cr3t"), ("AWS_ENDPOINT_URL", "https://other")];
        let found = find(&acme(Some("http://localhost:9000")), &keys).expect("found");
        assert_eq!((found.shown.as_str(), found.has_credentials), ("s3://acme-state at http://localhost:9000", true));
        assert!(found.secrets.is_in("Signature of very s3cr3t"));
        assert_eq!(find(&acme(None), &keys).expect("found").shown, "s3://acme-state at https://other");
        assert!(!find(&acme(None), &[]).expect("found").has_credentials);
    }

    #[test]
    fn the_bucket_stands_in_the_host_or_in_the_path() {
        let of = |endpoint, path_style| with_bucket(endpoint, "acme", path_style).map_err(|it| it.0);
        assert_eq!(of("https://r2.example/", true).as_deref(), Ok("https://r2.example"));
        assert_eq!(of("https://r2.example", false).as_deref(), Ok("https://acme.r2.example"));
        assert_eq!(of("https://acme.r2.example", false).as_deref(), Ok("https://acme.r2.example"));
        assert!(of("r2.example", true).is_err() && of("https://me:secret@r2.example", true).is_err());
        assert!(find(&Asked { bucket: "a/b".into(), ..Asked::default() }, &[]).is_err());
    }
}
