//! An accepted connection that has shown that it speaks HTTP/2.
//!
//! hyper waits for the preface as long as a client likes; here it is read within the handshake's time, and given
//! back to whoever reads next. After it, hyper's keepalive bounds every silence.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll},
};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tonic::transport::server::Connected;

use super::places::Place;

/// What every HTTP/2 client says first.
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// The connection, with its place. What handlers learn of the peer is what they would learn from `io` itself.
#[derive(Debug)]
pub(super) struct Accepted<T> {
    io: T,
    /// Of the preface, how much has been given back.
    given: usize,
    _place: Place,
}

// === impl Accepted ===

impl<T: AsyncRead + Unpin> Accepted<T> {
    /// Reads the preface. The caller bounds the time.
    pub(super) async fn greet(mut io: T, place: Place) -> io::Result<Self> {
        let mut heard = [0; PREFACE.len()];
        let mut length = 0;
        while length < heard.len() {
            let more = match heard.get_mut(length..) {
                Some(rest) => io.read(rest).await?,
                None => 0,
            };
            if more == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            length += more;
            // At once, not after 24 bytes: who speaks something shorter would wait for an answer.
            if heard.get(..length) != PREFACE.get(..length) {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "not HTTP/2"));
            }
        }
        Ok(Self { io, given: 0, _place: place })
    }
}

impl<T: Connected> Connected for Accepted<T> {
    type ConnectInfo = T::ConnectInfo;

    fn connect_info(&self) -> Self::ConnectInfo {
        self.io.connect_info()
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Accepted<T> {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match PREFACE.get(self.given..).filter(|rest| !rest.is_empty()) {
            Some(rest) => {
                let part = rest.get(..into.remaining()).unwrap_or(rest);
                into.put_slice(part);
                self.given += part.len();
                Poll::Ready(Ok(()))
            }
            None => Pin::new(&mut self.io).poll_read(context, into),
        }
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Accepted<T> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, from: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(context, from)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        from: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(context, from)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use tokio::{io::AsyncWriteExt, net::TcpStream};
    use tokio_rustls::server::TlsStream;
    use tonic::transport::server::{TcpConnectInfo, TlsConnectInfo};

    use super::*;
    use crate::service::places::Places;

    /// What is authenticated by certificate is found where tonic's own TLS would leave it.
    #[test]
    fn handlers_learn_of_the_peer_as_from_the_socket_itself() {
        fn tells<I>(_: impl FnOnce(&Accepted<I>) -> TlsConnectInfo<TcpConnectInfo>)
        where
            Accepted<I>: Connected<ConnectInfo = TlsConnectInfo<TcpConnectInfo>>,
        {
        }
        tells::<TlsStream<TcpStream>>(Connected::connect_info);
    }

    #[tokio::test]
    async fn the_preface_is_given_back_in_whatever_pieces_it_is_asked_for() {
        let place = Places::new(1, 1).take(None).unwrap();
        let (mut client, server) = tokio::io::duplex(64);
        client.write_all(PREFACE).await.unwrap();
        client.write_all(b"then").await.unwrap();
        drop(client);
        let mut accepted = Accepted::greet(server, place).await.unwrap();
        let mut heard = vec![0; 5];
        accepted.read_exact(&mut heard).await.unwrap();
        accepted.read_to_end(&mut heard).await.unwrap();
        assert_eq!(heard, [&PREFACE[..], b"then"].concat());
    }

    #[tokio::test]
    async fn who_speaks_something_else_is_not_waited_for() {
        let place = Places::new(1, 1).take(None).unwrap();
        let (mut client, server) = tokio::io::duplex(64);
        client.write_all(b"PRI * HTTP/1").await.unwrap();
        let refused = Accepted::greet(server, place).await.unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::InvalidData);
    }
}
