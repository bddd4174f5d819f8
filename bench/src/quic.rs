//! quinn: the same bytes over one QUIC stream, encrypted as QUIC cannot do without.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use quinn::rustls::RootCertStore;
use quinn::rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use quinn::{
    ClientConfig, Endpoint, EndpointConfig, ServerConfig, TokioRuntime, TransportConfig, VarInt,
};
use tokio::runtime::{Builder, Runtime};

use crate::{Result, children};

/// Bytes under way that the receiver takes.
const WINDOW: u32 = 16 << 20;

/// The server process.
pub(crate) struct Server {
    process: children::Server,
    certificate: PathBuf,
    packet: usize,
}

fn runtime() -> Result<Runtime> {
    Ok(Builder::new_current_thread().enable_all().build()?)
}

fn transport(packet: usize) -> Result<Arc<TransportConfig>> {
    let mut transport = TransportConfig::default();
    transport
        .initial_mtu(u16::try_from(packet)?)
        .min_mtu(u16::try_from(packet)?)
        .mtu_discovery_config(None)
        .stream_receive_window(VarInt::from_u32(WINDOW))
        .receive_window(VarInt::from_u32(WINDOW))
        .send_window(WINDOW.into());
    Ok(Arc::new(transport))
}

fn endpoint(packet: usize, server: Option<ServerConfig>) -> Result<Endpoint> {
    let socket = std::net::UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    let mut config = EndpointConfig::default();
    config.max_udp_payload_size(u16::try_from(packet.max(1472))?)?;
    Ok(Endpoint::new(
        config,
        server,
        socket,
        Arc::new(TokioRuntime),
    )?)
}

/// Serves the file that is named to whoever opens a stream and says how much of it.
pub(crate) fn serve(arguments: &[String]) -> Result<()> {
    let [file, packet, certificate] = arguments else {
        return Err("a file, a packet size and a place are needed".into());
    };
    let packet = packet.parse()?;
    let file = Bytes::from(fs::read(file)?);
    let signed = rcgen::generate_simple_self_signed(["localhost".to_owned()])?;
    fs::write(certificate, signed.cert.der())?;
    let key = PrivatePkcs8KeyDer::from(signed.signing_key.serialize_der());
    let chain = vec![signed.cert.der().clone()];
    let mut config = ServerConfig::with_single_cert(chain, PrivateKeyDer::Pkcs8(key))?;
    config.transport_config(transport(packet)?);
    runtime()?.block_on(async {
        let endpoint = endpoint(packet, Some(config))?;
        children::announce(endpoint.local_addr()?)?;
        while let Some(incoming) = endpoint.accept().await {
            let connection = incoming.await?;
            let (mut send, mut receive) = connection.accept_bi().await?;
            let mut length = [0; 8];
            receive.read_exact(&mut length).await?;
            let length = usize::try_from(u64::from_be_bytes(length))?;
            let mut rest = file.slice(..length);
            while !rest.is_empty() {
                let piece = rest.split_to((64 << 10).min(rest.len()));
                send.write_chunk(piece).await?;
            }
            send.finish()?;
            connection.closed().await;
        }
        Ok(())
    })
}

impl Server {
    pub(crate) fn start(file: &str, packet: usize, folder: &Path) -> Result<Self> {
        let certificate = folder.join(format!("certificate.{packet}"));
        let place = certificate.to_str().ok_or("the folder's name is no text")?;
        Ok(Self {
            process: children::Server::start("quic", &[file, &packet.to_string(), place])?,
            certificate,
            packet,
        })
    }

    /// Fetches so many bytes and copies each once.
    pub(crate) fn fetch(&self, length: u64) -> Result<()> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from(fs::read(&self.certificate)?))?;
        let mut config = ClientConfig::with_root_certificates(Arc::new(roots))?;
        config.transport_config(transport(self.packet)?);
        runtime()?.block_on(self.fetch_over(config, self.process.address, length))
    }

    async fn fetch_over(
        &self,
        config: ClientConfig,
        server: SocketAddr,
        length: u64,
    ) -> Result<()> {
        let endpoint = endpoint(self.packet, None)?;
        let connection = endpoint.connect_with(config, server, "localhost")?.await?;
        let (mut send, mut receive) = connection.open_bi().await?;
        send.write_all(&length.to_be_bytes()).await?;
        let mut sink = vec![0; 1 << 16];
        let mut received = 0;
        while let Some(chunk) = receive.read_chunk(sink.len(), true).await? {
            sink[..chunk.bytes.len()].copy_from_slice(&chunk.bytes);
            std::hint::black_box(&mut sink);
            received += chunk.bytes.len() as u64;
        }
        connection.close(VarInt::from_u32(0), b"");
        endpoint.wait_idle().await;
        if received == length {
            Ok(())
        } else {
            Err(format!("{received} of {length} bytes came by quinn").into())
        }
    }
}
