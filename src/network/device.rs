//! Where arithmetic runs: the processor, or one CUDA card.

use std::fmt;
use std::str::FromStr;

use candle_core::Device;

use super::error::Error;

/// What the user asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DeviceChoice {
    /// The first CUDA card where this build has CUDA and there is one, else the processor.
    #[default]
    Auto,
    /// The processor.
    Cpu,
    /// This CUDA card or an error, never silently the processor.
    Cuda(usize),
}

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

impl FromStr for DeviceChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once(':').unwrap_or((text, "0")) {
            ("auto", "0") if text == "auto" => Ok(Self::Auto),
            ("cpu", "0") if text == "cpu" => Ok(Self::Cpu),
            ("cuda", index) => index.parse().map(Self::Cuda).map_err(|_| format!("`{index}` is no device number: write `cuda:0`")),
            _ => Err(format!("there is no device `{text}`: use auto, cpu, cuda or cuda:N")),
        }
    }
}

impl fmt::Display for DeviceChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Cpu => f.write_str("cpu"),
            Self::Cuda(index) => write!(f, "cuda:{index}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_are_written_and_read_alike() {
        for choice in [DeviceChoice::Auto, DeviceChoice::Cpu, DeviceChoice::Cuda(0), DeviceChoice::Cuda(3)] {
            assert_eq!(choice.to_string().parse(), Ok(choice));
        }
        assert_eq!("cuda".parse(), Ok(DeviceChoice::Cuda(0)));
        assert!("cpu:1".parse::<DeviceChoice>().is_err() && "gpu".parse::<DeviceChoice>().is_err());
    }

    #[test]
    #[cfg(not(feature = "cuda"))]
    fn an_explicit_card_is_never_silently_the_processor() {
        assert!(DeviceChoice::Cuda(0).open().unwrap_err().to_string().contains("--features cuda"));
    }
}
