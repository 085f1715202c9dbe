//! The PROXY protocol's second version (<https://www.haproxy.org/download/2.9/doc/proxy-protocol.txt>): what a proxy writes
//! before the first byte of a connection that it passes on, to say whose it is.
//!
//! [`read`] is asked about connections of trusted proxies only. Without such a header a connection is the proxy's own: a
//! proxy may speak HTTP for its clients instead, or be asked for its health. Nothing that is spoken here begins with the same
//! bytes.

use std::{io, net::SocketAddr, time::Duration};

use ppp::v2::{Addresses, Command, Header, PROTOCOL_PREFIX};
use tokio::{
    io::{AsyncRead, AsyncReadExt},
    time,
};

/// How long the header may take.
const TIMEOUT: Duration = Duration::from_secs(5);
/// The signature, version, family and the length of what follows.
const FIXED_BYTES: usize = 16;
/// The longest rest: addresses, and what else proxies know. Common ones send some 100 bytes.
const MAX_REST_BYTES: usize = 2_048;

/// What a connection begins with.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Beginning {
    /// A header, which is read. It names the client, unless the proxy speaks for itself.
    Header(Option<SocketAddr>),
    /// These bytes, which are no header.
    Other(Vec<u8>),
}

/// Reads the header, if there is one.
pub(crate) async fn read(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Beginning> {
    time::timeout(TIMEOUT, read_patiently(stream))
        .await
        .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
}

async fn read_patiently(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Beginning> {
    let mut bytes = Vec::with_capacity(FIXED_BYTES);
    while bytes.len() < FIXED_BYTES {
        let missing = (FIXED_BYTES - bytes.len()) as u64;
        let read = (&mut *stream).take(missing).read_buf(&mut bytes).await?;
        let shown = bytes.len().min(PROTOCOL_PREFIX.len());
        if bytes[..shown] != PROTOCOL_PREFIX[..shown] {
            return Ok(Beginning::Other(bytes));
        }
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    let rest = usize::from(u16::from_be_bytes([bytes[14], bytes[15]]));
    if rest > MAX_REST_BYTES {
        return Err(broken("the PROXY header is too long"));
    }
    bytes.resize(FIXED_BYTES + rest, 0);
    stream.read_exact(&mut bytes[FIXED_BYTES..]).await?;
    let header = Header::try_from(bytes.as_slice()).map_err(broken)?;
    Ok(Beginning::Header(client(&header)))
}

fn client(header: &Header<'_>) -> Option<SocketAddr> {
    match (header.command, &header.addresses) {
        (Command::Proxy, Addresses::IPv4(ends)) => {
            Some((ends.source_address, ends.source_port).into())
        }
        (Command::Proxy, Addresses::IPv6(ends)) => {
            let ip = std::net::IpAddr::from(ends.source_address).to_canonical();
            Some((ip, ends.source_port).into())
        }
        _ => None,
    }
}

fn broken(why: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

#[cfg(test)]
mod tests {
    use ppp::v2::{Builder, Protocol, Version};

    use super::*;

    /// A header of a client at 192.0.2.1:4000.
    fn header() -> Vec<u8> {
        let from = "192.0.2.1:4000".parse::<SocketAddr>().unwrap();
        let to = "10.0.0.2:443".parse::<SocketAddr>().unwrap();
        let version = Version::Two | Command::Proxy;
        let header = Builder::with_addresses(version, Protocol::Stream, (from, to));
        header
            .write_tlv(ppp::v2::Type::NoOp, b"more")
            .unwrap()
            .build()
            .unwrap()
    }

    #[tokio::test]
    async fn a_header_names_the_client_and_leaves_the_rest() {
        let bytes = [header(), b"rest".to_vec()].concat();
        let mut stream = bytes.as_slice();
        let client = Some("192.0.2.1:4000".parse().unwrap());
        assert_eq!(read(&mut stream).await.unwrap(), Beginning::Header(client));
        assert_eq!(stream, b"rest");
    }

    #[tokio::test]
    async fn a_header_may_come_in_pieces() {
        let (mut proxy, mut stream) = tokio::io::duplex(1);
        let writing = tokio::spawn(async move {
            tokio::io::AsyncWriteExt::write_all(&mut proxy, &header())
                .await
                .unwrap();
        });
        let beginning = read(&mut stream).await.unwrap();
        assert!(matches!(beginning, Beginning::Header(Some(_))));
        writing.await.unwrap();
    }

    #[tokio::test]
    async fn what_is_no_header_is_kept() {
        for text in [
            "GET / HTTP/1.1\r\n",
            "\x13/multistream/1.0.0\n",
            "\r\n\r\nx",
            "",
        ] {
            let mut stream = text.as_bytes();
            match read(&mut stream)
                .await
                .unwrap_or(Beginning::Other(Vec::new()))
            {
                Beginning::Other(mut bytes) => {
                    bytes.extend_from_slice(stream);
                    assert_eq!(bytes, text.as_bytes());
                }
                header @ Beginning::Header(_) => panic!("{text:?} is {header:?}"),
            }
        }
    }

    #[tokio::test]
    async fn a_header_that_is_cut_off_or_too_long_is_an_error() {
        let whole = header();
        for end in 1..whole.len() {
            let mut stream = &whole[..end];
            assert!(read(&mut stream).await.is_err(), "{end}");
        }
        let mut long = whole;
        long[14..16].copy_from_slice(&u16::MAX.to_be_bytes());
        assert!(read(&mut long.as_slice()).await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn who_says_nothing_is_given_up() {
        let (_proxy, mut stream) = tokio::io::duplex(1);
        assert!(read(&mut stream).await.is_err());
    }
}
