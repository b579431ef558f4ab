# Pre-training on the CPU, wherever Docker runs:
#   docker build -t albert-zh .
#   docker run --rm -it -v "$PWD/data:/albert/data" -v "$PWD/out:/albert/out" albert-zh make train-full
# Without a command it runs what the README calls the two commands.
ARG IMAGE=python:3.7-slim-bookworm
FROM ${IMAGE}

RUN apt-get update && apt-get install --yes --no-install-recommends make && rm -rf /var/lib/apt/lists/*

WORKDIR /albert
# The packages are a layer of their own: another source does not install them again.
COPY requirements.txt ./
COPY tools/setup_env.sh tools/
RUN bash tools/setup_env.sh
COPY . .
RUN make env
CMD ["bash", "-c", "make smoke && make test"]
