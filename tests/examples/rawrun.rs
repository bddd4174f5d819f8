#![allow(warnings,clippy::all)]
//! scratch: our endpoint on a raw socket
use std::net::*; use std::time::*; use std::io::Read;
use dccp::*; use bytes::Bytes; use socket2::*;
fn main(){
  let a:Vec<String>=std::env::args().collect();
  let local:Ipv4Addr=a[2].parse().unwrap(); let remote:Ipv4Addr=a[3].parse().unwrap();
  let port:u16=a[4].parse().unwrap();
  let s=Socket::new(Domain::IPV4,Type::RAW,Some(Protocol::from(33))).unwrap();
  s.bind(&SocketAddr::from((local,0)).into()).unwrap();
  let svc=ServiceCode(16777216);
  let server=a[1]=="server";
  let total:usize=a.get(5).map_or(14,|s|s.parse().unwrap());
  let mut c=Config{carrier:Carrier::Ip,..Config::default()};
  if server {c.listen=Some(port);c.service_codes=vec![svc];}
  let mut e=Endpoint::new(c,[7;32]);
  let path=Path{local:Some(local.into()),remote:(remote,0).into()};
  if !server { e.connect(Instant::now(),path,port,svc).unwrap(); }
  let mut out=Vec::new(); let begin=Instant::now(); let mut got=0usize; let mut left=0usize; let mut who=None; let mut sent=0usize;
  loop {
    let now=Instant::now();
    if now-begin>Duration::from_secs(20){println!("timeout got {got} left {left} {:?}", who.and_then(|w|e.stats(w)));return}
    if e.poll_timeout().is_some_and(|d|d<=now){e.handle_timeout(now);}
    while let Some((id,ev))=e.poll_event(){
      match ev{
        Event::Connected{..}=>{println!("{:?} connected {ev:?}",now-begin); who=Some(id); if !server{
          let r=e.send_with(now,id,|_,o|{o.extend_from_slice(b"GET / HTTP 1.0");Some(())}); println!("send {r:?}");}}
        Event::Message(m)=>{got+=m.len(); if server{left=total;} println!("{:?} message {} total {got}",now-begin,m.len());}
        Event::Closed(w)=>{println!("{:?} closed {w:?} got {got} sent {sent}",now-begin);return}
        ev=>println!("{:?} {ev:?}",now-begin),
      }
    }
    if server && left>0 { let id=who.unwrap();
      while left>0 { let r=e.send_with(now,id,|room,o|{let n=room.min(left);o.resize(o.len()+n,b'x');Some(n)});
        match r{Ok(Some(n))=>{left-=n;sent+=n;if left==0{e.close(now,id);}},r=>{if !matches!(r,Err(SendError::Full)){println!("{r:?}");}break}} }
    }
    loop { out.clear(); let Some(t)=e.poll_transmit(now,1480,&mut out) else{break};
      let seg=t.segment_size.map_or(out.len(),|n|n.get());
      for p in out.chunks(seg){ let IpAddr::V4(r)=t.path.remote.ip() else{panic!()}; s.send_to(p,&SocketAddr::from((r,0)).into()).unwrap(); } }
    let wait=e.poll_timeout().map_or(Duration::from_millis(500),|d|d.saturating_duration_since(now)).clamp(Duration::from_millis(1),Duration::from_millis(500));
    s.set_read_timeout(Some(wait)).unwrap();
    let mut b=[0u8;65536];
    if let Ok(n)=(&s).read(&mut b){ let v=&b[..n];
      let h=(v[0]&15) as usize*4; let src=Ipv4Addr::new(v[12],v[13],v[14],v[15]);
      e.handle_packet(Instant::now(),Datagram{path:Path{local:Some(local.into()),remote:(src,0).into()},ecn:Ecn::NotEct,segment_size:None,payload:Bytes::copy_from_slice(&v[h..])}); }
  }
}
