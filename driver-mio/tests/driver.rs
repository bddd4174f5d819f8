//! What every driver must do, done by this one.

use std::io;
use std::os::fd::AsFd;
use std::time::Duration;

use driver_mio::Config;
use socket::stop::Shutdown;
use tests::drivers::{Driver, Settings};
use transport::{
    Application, Connection, DatagramSocket, Listener, Machine, Notice, Resident, Served, Service,
};

struct Mio;

impl Driver for Mio {
    fn serve<L, V>(
        listeners: Vec<L>,
        residents: Vec<Box<dyn Resident + Send + '_>>,
        service: V,
        settings: Settings,
        shutdown: &Shutdown,
        observe: &mut dyn FnMut(Notice<'_>),
    ) -> io::Result<Served>
    where
        L: Listener + AsFd,
        L::Socket: AsFd + Send,
        V: Service,
        V::Machine: Send,
        V::Application: Send,
    {
        let config = Config {
            max_connections: settings.max_connections,
            grace: settings.grace,
            limits: settings.limits,
        };
        driver_mio::serve(listeners, residents, service, &config, shutdown, observe)
    }

    fn run<M, S, A>(
        connection: Connection<M, S, A>,
        grace: Duration,
        shutdown: &Shutdown,
    ) -> io::Result<A>
    where
        M: Machine,
        S: DatagramSocket<Peer = M::Peer> + AsFd,
        A: Application<M>,
    {
        driver_mio::run(connection, grace, shutdown)
    }
}

tests::driver_tests!(Mio);
