//! Certificates of an authority that only a test trusts, and a client of https that trusts it.

#![allow(dead_code, reason = "each test uses what it needs")]
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]
#![allow(unreachable_pub, reason = "public to the test that includes it")]

use std::{
    fs,
    io::{self, Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpStream},
    path::{Path, PathBuf},
    sync::Arc,
};

use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair};
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned, crypto::ring,
    pki_types::CertificateDer,
};
use socket2::{Domain, Socket, Type};
use tempfile::TempDir;

use super::DEADLINE;

/// An authority, with its files and those of a certificate.
pub struct Pki {
    directory: TempDir,
    authority: rcgen::Certificate,
    key: KeyPair,
}

/// A connection to the relay over TLS.
pub type Secure = StreamOwned<ClientConnection, TcpStream>;

impl Pki {
    /// Makes an authority, and a certificate of it for `localhost`.
    pub fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = params.self_signed(&key).unwrap();
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("ca.pem"), authority.pem()).unwrap();
        let pki = Self {
            directory,
            authority,
            key,
        };
        pki.issue(&["localhost"]);
        pki
    }

    /// Writes a new certificate for these names, and returns it.
    pub fn issue(&self, names: &[&str]) -> CertificateDer<'static> {
        let names: Vec<_> = names.iter().map(ToString::to_string).collect();
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(names).unwrap();
        let certificate = params.signed_by(&key, &self.authority, &self.key).unwrap();
        fs::write(self.certificate(), certificate.pem()).unwrap();
        fs::write(self.private_key(), key.serialize_pem()).unwrap();
        certificate.der().clone()
    }

    /// The file of the authority.
    pub fn authority(&self) -> PathBuf {
        self.path("ca.pem")
    }

    /// The file of the certificate.
    pub fn certificate(&self) -> PathBuf {
        self.path("cert.pem")
    }

    /// The file of its key.
    pub fn private_key(&self) -> PathBuf {
        self.path("key.pem")
    }

    fn path(&self, name: &str) -> PathBuf {
        let directory: &Path = self.directory.path();
        directory.join(name)
    }

    /// What trusts the authority.
    pub fn trust(&self) -> Trust {
        Trust::of(self.authority.der().clone())
    }

    /// Connects over TLS, to `localhost` by its IPv4 address.
    pub fn connect(&self, port: u16) -> Secure {
        self.trust()
            .connect_from(Ipv4Addr::LOCALHOST, port)
            .unwrap()
    }

    /// The same from an address of this machine.
    pub fn connect_from(&self, from: Ipv4Addr, port: u16) -> Secure {
        self.trust().connect_from(from, port).unwrap()
    }

    /// Sends a GET, and returns the answer's head and body.
    pub fn get(&self, port: u16, path: &str) -> (String, String) {
        self.trust().get(port, path).unwrap()
    }
}

/// A client of https.
pub struct Trust(Arc<ClientConfig>);

impl Trust {
    /// Trusts this authority alone.
    pub fn of(authority: CertificateDer<'static>) -> Self {
        let mut roots = RootCertStore::empty();
        roots.add(authority).unwrap();
        let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Self(Arc::new(config))
    }

    fn connect_from(&self, from: Ipv4Addr, port: u16) -> io::Result<Secure> {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        socket.bind(&SocketAddr::from((from, 0)).into())?;
        socket.connect(&SocketAddr::from((Ipv4Addr::LOCALHOST, port)).into())?;
        let socket = TcpStream::from(socket);
        socket.set_read_timeout(Some(DEADLINE))?;
        let name = "localhost".try_into().unwrap();
        let session = ClientConnection::new(self.0.clone(), name).unwrap();
        Ok(StreamOwned::new(session, socket))
    }

    /// Sends a GET, and returns the answer's head and body.
    pub fn get(&self, port: u16, path: &str) -> io::Result<(String, String)> {
        let mut stream = self.connect_from(Ipv4Addr::LOCALHOST, port)?;
        let headers = format!("host: localhost:{port}\r\nconnection: close\r\n");
        write!(stream, "GET {path} HTTP/1.1\r\n{headers}\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let (head, body) = answer
            .split_once("\r\n\r\n")
            .ok_or(io::ErrorKind::InvalidData)?;
        Ok((head.to_owned(), body.to_owned()))
    }

    /// Returns the certificate that a server shows.
    pub fn shown(&self, port: u16) -> io::Result<CertificateDer<'static>> {
        let mut stream = self.connect_from(Ipv4Addr::LOCALHOST, port)?;
        stream.conn.complete_io(&mut stream.sock)?;
        let chain = stream.conn.peer_certificates().unwrap_or_default();
        let certificate = chain.first().ok_or(io::ErrorKind::InvalidData)?;
        Ok(certificate.clone().into_owned())
    }
}
