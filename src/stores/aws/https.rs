//! The HTTPS client of the AWS clients. Most of a start would be reading the system's 140 certificates; AWS's own hosts
//! need five.

use aws_sdk_dynamodb::config::SharedHttpClient;
use aws_smithy_http_client::Builder;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore};

/// The roots that Amazon Trust Services asks those to take who keep certificates of their own
/// (<https://www.amazontrust.com/repository/>).
const AMAZON_ROOTS: &[u8] = include_bytes!("roots.pem");

/// What names other certificates, or other hosts than AWS's.
const ELSEWHERE: [&str; 5] =
    ["SSL_CERT_FILE", "SSL_CERT_DIR", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_DYNAMODB", "AWS_ENDPOINT_URL_ATHENA"];

/// How the regions begin in which AWS's hosts have certificates of these roots: those of the SDK's partition `aws`.
const CONTINENTS: [&str; 9] = ["af", "ap", "ca", "eu", "il", "me", "mx", "sa", "us"];

/// A client that trusts Amazon's roots, where the environment says that there is nothing else to trust; else `None`,
/// for the SDK's own, which trusts the system's.
pub fn amazon_only(lookup: impl Fn(&str) -> Option<String>) -> Option<SharedHttpClient> {
    let elsewhere = ELSEWHERE.iter().any(|name| lookup(name).is_some());
    if elsewhere || !lookup("AWS_REGION").is_some_and(|region| is_of_partition_aws(&region)) {
        return None;
    }
    let roots = TrustStore::empty().with_pem_certificate(AMAZON_ROOTS);
    let tls = TlsContext::builder().with_trust_store(roots).build().ok()?;
    Some(Builder::new().tls_provider(Provider::Rustls(CryptoMode::AwsLc)).tls_context(tls).build_https())
}

/// Regions of other partitions begin otherwise, or have a further part: `cn-north-1`, `us-gov-west-1`,
/// `eusc-de-east-1`.
fn is_of_partition_aws(region: &str) -> bool {
    let parts: Vec<_> = region.split('-').collect();
    matches!(parts[..], [continent, _, _] if CONTINENTS.contains(&continent))
}

#[cfg(test)]
mod tests {
    use sha2::{Digest, Sha256};
    use tokio_rustls::rustls::pki_types::CertificateDer;
    use tokio_rustls::rustls::pki_types::pem::PemObject;

    use super::*;

    /// The fingerprints that Amazon Trust Services publishes.
    const FINGERPRINTS: [&str; 5] = [
        "8ecde6884f3d87b1125ba31ac3fcb13d7016de7f57cc904fe1cb97c6ae98196e",
        "1ba5b2aa8c65401a82960118f80bec4f62304d83cec4713a19c39c011ea46db4",
        "18ce6cfe7bf14e60b2e347b8dfe868cb31d02ebb3ada271569f50343b46db3a4",
        "e35d28419ed02025cfa69038cd623962458da5c695fbdea3c22b0bfb25897092",
        "568d6905a2c88708a4b3025190edcfedb1974a606a13c6e5290fcb2ae63edab5",
    ];

    #[test]
    fn the_roots_are_those_that_amazon_publishes() {
        let hex = |hex: String, byte: &u8| format!("{hex}{byte:02x}");
        let fingerprint = |root: CertificateDer<'_>| Sha256::digest(&root).iter().fold(String::new(), hex);
        let roots: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(AMAZON_ROOTS).collect();
        assert_eq!(roots.unwrap().into_iter().map(fingerprint).collect::<Vec<_>>(), FINGERPRINTS);
        // Building a client reads them, and panics where it cannot.
        let client = super::amazon_only(|name| (name == "AWS_REGION").then(|| "eu-central-1".to_owned()));
        let config = aws_sdk_dynamodb::Config::builder().behavior_version_latest().http_client(client.unwrap());
        aws_sdk_dynamodb::Client::from_conf(config.build());
    }

    #[test]
    fn other_roots_and_other_hosts_get_the_systems_certificates() {
        let amazon_only = |name: &str, value: &str| {
            let region = |asked: &str| (asked == "AWS_REGION").then(|| "eu-central-1".to_owned());
            super::amazon_only(|asked| if asked == name { Some(value.to_owned()) } else { region(asked) }).is_some()
        };
        assert!(amazon_only("UNRELATED", "1"));
        for name in ELSEWHERE {
            assert!(!amazon_only(name, "somewhere"), "{name}");
        }
    }

    #[test]
    fn other_partitions_get_the_systems_certificates() {
        let amazon_only = |region: Option<&str>| {
            let lookup = |name: &str| region.filter(|_| name == "AWS_REGION").map(str::to_owned);
            super::amazon_only(lookup).is_some()
        };
        for region in ["us-east-1", "ap-southeast-5", "mx-central-1", "il-central-1"] {
            assert!(amazon_only(Some(region)), "{region}");
        }
        for region in ["cn-north-1", "us-gov-west-1", "us-iso-east-1", "eu-isoe-west-1", "eusc-de-east-1", "local", ""]
        {
            assert!(!amazon_only(Some(region)), "{region}");
        }
        assert!(!amazon_only(None));
    }
}
