# The gate on the CPU platform. From the root of the project:
#
#   docker build -f ci/containers/cpu.Dockerfile -t twincheck .
#   docker run --rm twincheck --platform cpu
#   docker run --rm -v "$PWD:/mine" twincheck --candidate /mine/libmine.so
FROM debian:12
COPY ci/setup ci/lib.sh /twincheck/ci/
RUN /twincheck/ci/setup gate && rm -rf /var/lib/apt/lists/*
COPY . /twincheck
WORKDIR /twincheck
RUN ci/build --no-install gate
ENTRYPOINT ["/twincheck/ci/gate", "--no-install"]
