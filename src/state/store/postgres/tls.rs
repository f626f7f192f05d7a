//! How the server's certificate is looked at. The modes are those of every PostgreSQL client; what differs is the default, which
//! verifies whatever leaves this machine.

use std::path::Path;
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use tokio_postgres_rustls::MakeRustlsConnect;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verify {
    /// `disable`: no encryption.
    Off,
    /// `prefer`: encrypted where the server can, and not verified.
    IfOffered,
    /// `require`: encrypted, not verified.
    Nothing,
    /// `verify-ca`: the certificate is of a trusted authority.
    Authority,
    /// `verify-full`: and names this host.
    Name,
}

/// What makes connections encrypted.
///
/// Errors: as a clause.
pub fn connector(verify: Verify, roots: Option<&Path>) -> Result<MakeRustlsConnect, String> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions();
    let builder = builder.map_err(|error| error.to_string())?;
    let config = match verify {
        Verify::Off | Verify::IfOffered | Verify::Nothing => builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Loose { provider, trusted: None }))
            .with_no_client_auth(),
        Verify::Authority => {
            let trusted = WebPkiServerVerifier::builder_with_provider(Arc::new(authorities(roots)?), provider.clone()).build();
            let trusted = Some(trusted.map_err(|error| error.to_string())?);
            builder.dangerous().with_custom_certificate_verifier(Arc::new(Loose { provider, trusted })).with_no_client_auth()
        }
        Verify::Name => builder.with_root_certificates(authorities(roots)?).with_no_client_auth(),
    };
    Ok(MakeRustlsConnect::new(config))
}

fn authorities(roots: Option<&Path>) -> Result<RootCertStore, String> {
    let mut store = RootCertStore::empty();
    match roots {
        Some(path) => {
            let named = |error: &dyn std::fmt::Display| format!("the certificates in {} cannot be read: {error}", path.display());
            for certificate in CertificateDer::pem_file_iter(path).map_err(|error| named(&error))? {
                store.add(certificate.map_err(|error| named(&error))?).map_err(|error| named(&error))?;
            }
        }
        None => {
            store.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
    }
    match store.is_empty() {
        true => Err("no certificate authority is known on this machine: name a PEM file in PGSSLROOTCERT".into()),
        false => Ok(store),
    }
}

/// Looks at less of a certificate than rustls would.
#[derive(Debug)]
struct Loose {
    provider: Arc<CryptoProvider>,
    /// The authorities that count; `None`: whoever answers is believed.
    trusted: Option<Arc<WebPkiServerVerifier>>,
}

impl ServerCertVerifier for Loose {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let Some(trusted) = &self.trusted else { return Ok(ServerCertVerified::assertion()) };
        match trusted.verify_server_cert(certificate, between, name, ocsp, now) {
            Err(Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) => Ok(ServerCertVerified::assertion()),
            verified => verified,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
