# Two images from one file:
#   docker build -t convscope .                           any machine            (target `cpu`, the last and so the default)
#   docker build --target cuda -t convscope:cuda .        an NVIDIA card         docker run --gpus all …
# A CUDA build is bound to the CUDA libraries when it is linked, hence an image of its own. The driver is the host's: 580 or
# newer for CUDA 13.0.

# ---- cpu: build ----------------------------------------------------------------------------------------------------------
FROM rust:1.95-bookworm AS build
WORKDIR /src
# The dependencies alone, a layer that stays as long as these two files do: an empty program that has them all.
COPY Cargo.toml Cargo.lock ./
RUN mkdir src benches && touch src/lib.rs benches/kernels.rs && echo 'fn main() {}' | tee src/main.rs > build.rs \
 && cargo build --locked --profile dist
COPY . .
# Files copied here may be older than the empty program; cargo goes by time.
RUN touch build.rs src/lib.rs src/main.rs && cargo build --locked --profile dist

# ---- cuda: build ---------------------------------------------------------------------------------------------------------
FROM nvidia/cuda:13.0.2-cudnn-devel-ubuntu24.04 AS build-cuda
COPY --from=rust:1.95-bookworm /usr/local/cargo /usr/local/cargo
COPY --from=rust:1.95-bookworm /usr/local/rustup /usr/local/rustup
# candle's kernels are compiled for the oldest card CUDA 13 knows (7.5, Turing); the driver compiles them again for newer ones.
# With `--build-arg CUDA_COMPUTE_CAP=90` and the like they start a little sooner on that card, and not at all on older ones.
ARG CUDA_COMPUTE_CAP=75
ENV CUDA_COMPUTE_CAP=${CUDA_COMPUTE_CAP} CARGO_HOME=/usr/local/cargo RUSTUP_HOME=/usr/local/rustup \
    PATH=/usr/local/cargo/bin:/usr/local/cuda/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
WORKDIR /src
COPY Cargo.toml Cargo.lock ./
RUN mkdir src benches && touch src/lib.rs benches/kernels.rs && echo 'fn main() {}' | tee src/main.rs > build.rs \
 && cargo build --locked --profile dist --features cuda
COPY . .
RUN touch build.rs src/lib.rs src/main.rs && cargo build --locked --profile dist --features cuda
# What the program is linked to, and what those libraries open by name; libcuda.so.1 comes from the host (`--gpus all`).
RUN mkdir -p /out/lib \
 && for name in libcudart.so.13 libcublas.so.13 libcublasLt.so.13 libcurand.so.10 libnvrtc.so.13 libnvrtc-builtins.so.13.0; do \
      cp -L "/usr/local/cuda/lib64/$name" /out/lib/ || exit 1; done

# ---- cuda: run -----------------------------------------------------------------------------------------------------------
FROM nvidia/cuda:13.0.2-base-ubuntu24.04 AS cuda
COPY --from=build-cuda /out/lib /usr/local/lib/
COPY --from=build-cuda /src/target/dist/convscope /usr/local/bin/
RUN ldconfig && useradd --uid 10001 --user-group --no-create-home --shell /usr/sbin/nologin convscope && install -d -o convscope -g convscope /data
ENV CONVSCOPE_SERVER__LISTEN=0.0.0.0:8080 CONVSCOPE_DATA_DIR=/data CONVSCOPE_DEVICE=cuda
USER convscope
VOLUME /data
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s CMD ["convscope", "health"]
ENTRYPOINT ["convscope"]

# ---- cpu: run ------------------------------------------------------------------------------------------------------------
FROM debian:bookworm-slim AS cpu
COPY --from=build /src/target/dist/convscope /usr/local/bin/
RUN useradd --uid 10001 --user-group --no-create-home --shell /usr/sbin/nologin convscope && install -d -o convscope -g convscope /data
ENV CONVSCOPE_SERVER__LISTEN=0.0.0.0:8080 CONVSCOPE_DATA_DIR=/data
USER convscope
VOLUME /data
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=5s --start-period=10s CMD ["convscope", "health"]
ENTRYPOINT ["convscope"]
