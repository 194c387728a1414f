//! Answers that are long work: summed up, written out or drawn on another thread, so that short requests do not wait for them.

use super::error::Error;

/// So many numbers are worked through in less time than a change of threads takes to be worth it.
const FEW: usize = 1 << 14;

/// Does `work`, which goes through `values` numbers: here where they are few, else on a thread made for that.
pub async fn offload<T: Send + 'static>(values: usize, work: impl FnOnce() -> T + Send + 'static) -> Result<T, Error> {
    if values <= FEW {
        return Ok(work());
    }
    tokio::task::spawn_blocking(work).await.map_err(|e| Error::internal(format!("an answer was not written: {e}")))
}
