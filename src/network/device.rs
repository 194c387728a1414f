//! Where arithmetic runs: the processor, or one CUDA card.

use candle_core::Device;

use super::error::Error;
use crate::words::DeviceChoice;

impl DeviceChoice {
    /// Opens the device.
    pub fn open(self) -> Result<Device, Error> {
        match self {
            Self::Auto if cfg!(feature = "cuda") => Ok(Device::new_cuda(0).unwrap_or(Device::Cpu)),
            Self::Auto | Self::Cpu => Ok(Device::Cpu),
            Self::Cuda(index) if cfg!(feature = "cuda") => Device::new_cuda(index).map_err(|e| {
                tracing::debug!(error = %e, "CUDA did not start");
                Error::Device(cuda_failure(&e.to_string(), index))
            }),
            Self::Cuda(_) => Err(Error::Device(
                "this convscope is built without CUDA: build it with `--features cuda`, or use the cuda image".into(),
            )),
        }
    }
}

fn cuda_failure(reason: &str, index: usize) -> String {
    if reason.contains("UNSUPPORTED_PTX") {
        "the NVIDIA driver is older than this build's CUDA 13.0: install driver 580 or newer".into()
    } else if reason.contains("NO_DEVICE") || reason.contains("INVALID_DEVICE") {
        format!("there is no CUDA device {index}: see `nvidia-smi`; a container needs `--gpus all`")
    } else {
        format!("CUDA device {index} cannot be used: check the driver with `nvidia-smi`")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(not(feature = "cuda"))]
    fn an_explicit_card_is_never_silently_the_processor() {
        assert!(DeviceChoice::Cuda(0).open().unwrap_err().to_string().contains("--features cuda"));
    }
}
