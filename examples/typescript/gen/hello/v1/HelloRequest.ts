// Original file: ../protos/hello.proto


export interface HelloRequest {
}

export interface HelloRequest__Output {
}
