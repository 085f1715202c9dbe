//! The same bare loop on streams without libp2p: quinn's, and the system's TCP.

use std::{net::Ipv4Addr, sync::Arc};

use anyhow::{Context, Result, bail};
use quinn::{
    ClientConfig, Connection, Endpoint, RecvStream, SendStream, ServerConfig,
    crypto::rustls::{QuicClientConfig, QuicServerConfig},
    rustls::{
        self, CipherSuite, RootCertStore,
        crypto::{CryptoProvider, aws_lc_rs},
        pki_types::{CertificateDer, PrivateKeyDer},
    },
};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::compat::TokioAsyncReadCompatExt;

use super::{
    Kind, Load, Over, common,
    plain::{bare, measure},
    report::Figures,
};

const NAME: &str = "bench.invalid";

/// Says where it is, and acks what comes until it is killed.
pub(crate) async fn receive(kind: Kind, over: Over) -> Result<()> {
    let here = (Ipv4Addr::LOCALHOST, 0);
    if over == Over::Tcp {
        let listener = TcpListener::bind(here).await?;
        common::say(&listener.local_addr()?.to_string());
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        return bare::ack_all(stream.compat()).await;
    }
    let certified = rcgen::generate_simple_self_signed([NAME.to_owned()])?;
    let certificate = certified.cert.der().clone();
    let key =
        PrivateKeyDer::try_from(certified.key_pair.serialize_der()).map_err(anyhow::Error::msg)?;
    let tls = rustls::ServerConfig::builder_with_provider(provider(kind))
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_no_client_auth()
        .with_single_cert(vec![certificate.clone()], key)?;
    let tls = QuicServerConfig::with_initial(Arc::new(tls), initial()?);
    let endpoint = Endpoint::server(ServerConfig::with_crypto(Arc::new(tls?)), here.into())?;
    let certificate: String = certificate
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    common::say(&format!("{} {certificate}", endpoint.local_addr()?));
    let connection = endpoint.accept().await.context("no connection")?.await?;
    let (send, recv) = connection.accept_bi().await?;
    bare::ack_all(tokio::io::join(recv, send).compat()).await
}

pub(crate) async fn send(kind: Kind, over: Over, address: &str, load: Load) -> Result<Figures> {
    if over == Over::Tcp {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let mut pair = bare::Pair::new(stream.compat());
        return measure(&mut pair, load).await;
    }
    let (address, certificate) = address.split_once(' ').context("no certificate")?;
    let (_connection, send, recv) = connect(kind, address, certificate).await?;
    let mut pair = bare::Pair::new(tokio::io::join(recv, send).compat());
    measure(&mut pair, load).await
}

async fn connect(
    kind: Kind,
    address: &str,
    certificate: &str,
) -> Result<(Connection, SendStream, RecvStream)> {
    let bytes = (0..certificate.len()).step_by(2);
    let bytes = bytes.map(|at| u8::from_str_radix(certificate.get(at..at + 2).unwrap_or("-"), 16));
    let certificate = bytes.collect::<Result<Vec<_>, _>>()?;
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from(certificate))?;
    let tls = rustls::ClientConfig::builder_with_provider(provider(kind))
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let tls = QuicClientConfig::with_initial(Arc::new(tls), initial()?)?;
    let mut endpoint = Endpoint::client((Ipv4Addr::LOCALHOST, 0).into())?;
    endpoint.set_default_client_config(ClientConfig::new(Arc::new(tls)));
    let connection = endpoint.connect(address.parse()?, NAME)?.await?;
    let (send, recv) = connection.open_bi().await?;
    Ok((connection, send, recv))
}

/// What encrypts the first packets of any connection.
fn initial() -> Result<quinn::rustls::quic::Suite> {
    let suites = aws_lc_rs::default_provider().cipher_suites;
    let aes = suites
        .iter()
        .find(|suite| suite.suite() == CipherSuite::TLS13_AES_128_GCM_SHA256);
    match aes.and_then(|suite| suite.tls13()?.quic_suite()) {
        Some(suite) => Ok(suite),
        None => bail!("no AES"),
    }
}

/// libp2p's choice, or the one to compare it with.
fn provider(kind: Kind) -> Arc<CryptoProvider> {
    let wanted = match kind {
        Kind::RawChacha => CipherSuite::TLS13_CHACHA20_POLY1305_SHA256,
        _ => CipherSuite::TLS13_AES_128_GCM_SHA256,
    };
    let mut provider = aws_lc_rs::default_provider();
    provider
        .cipher_suites
        .retain(|suite| suite.suite() == wanted);
    Arc::new(provider)
}
