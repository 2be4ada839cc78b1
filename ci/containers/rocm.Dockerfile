# The gate on AMD GPUs. From the root of the project, on a machine with Docker and the amdgpu driver:
#
#   docker build -f ci/containers/rocm.Dockerfile -t twincheck-rocm .
#   docker run --rm --device=/dev/kfd --device=/dev/dri --group-add video --group-add render \
#     --security-opt seccomp=unconfined --ipc=host twincheck-rocm --platform hip
#
# The build sees no GPU, so it says for which it is: --build-arg ARCHITECTURES=gfx1100
FROM rocm/dev-ubuntu-24.04:7.2.4
ARG ARCHITECTURES="gfx90a;gfx942;gfx1100"
COPY ci/setup ci/lib.sh /twincheck/ci/
RUN /twincheck/ci/setup gate && rm -rf /var/lib/apt/lists/*
COPY . /twincheck
WORKDIR /twincheck
ENV TWINCHECK_HIP_ARCHITECTURES=$ARCHITECTURES LD_LIBRARY_PATH=/opt/rocm/lib
RUN ci/build --no-install gate
ENTRYPOINT ["/twincheck/ci/gate", "--no-install"]
