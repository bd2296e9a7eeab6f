pub mod athena;
pub mod front;
pub mod heartbeats;
pub mod log_writer;
pub mod trace;
pub mod traffic;
