// Original file: ../protos/hello.proto


export interface HelloReply {
  'text'?: (string);
}

export interface HelloReply__Output {
  'text'?: (string);
}
