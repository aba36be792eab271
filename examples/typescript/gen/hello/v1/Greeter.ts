// Original file: ../protos/hello.proto

import type * as grpc from '@grpc/grpc-js'
import type { MethodDefinition } from '@grpc/proto-loader'
import type { HelloReply as _hello_v1_HelloReply, HelloReply__Output as _hello_v1_HelloReply__Output } from '../../hello/v1/HelloReply.js';
import type { HelloRequest as _hello_v1_HelloRequest, HelloRequest__Output as _hello_v1_HelloRequest__Output } from '../../hello/v1/HelloRequest.js';

export interface GreeterClient extends grpc.Client {
  SayHello(argument: _hello_v1_HelloRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_hello_v1_HelloReply__Output>): grpc.ClientUnaryCall;
  SayHello(argument: _hello_v1_HelloRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_hello_v1_HelloReply__Output>): grpc.ClientUnaryCall;
  SayHello(argument: _hello_v1_HelloRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_hello_v1_HelloReply__Output>): grpc.ClientUnaryCall;
  SayHello(argument: _hello_v1_HelloRequest, callback: grpc.requestCallback<_hello_v1_HelloReply__Output>): grpc.ClientUnaryCall;
  sayHello(argument: _hello_v1_HelloRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_hello_v1_HelloReply__Output>): grpc.ClientUnaryCall;
  sayHello(argument: _hello_v1_HelloRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_hello_v1_HelloReply__Output>): grpc.ClientUnaryCall;
  sayHello(argument: _hello_v1_HelloRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_hello_v1_HelloReply__Output>): grpc.ClientUnaryCall;
  sayHello(argument: _hello_v1_HelloRequest, callback: grpc.requestCallback<_hello_v1_HelloReply__Output>): grpc.ClientUnaryCall;
  
}

export interface GreeterHandlers extends grpc.UntypedServiceImplementation {
  SayHello: grpc.handleUnaryCall<_hello_v1_HelloRequest__Output, _hello_v1_HelloReply>;
  
}

export interface GreeterDefinition extends grpc.ServiceDefinition {
  SayHello: MethodDefinition<_hello_v1_HelloRequest, _hello_v1_HelloReply, _hello_v1_HelloRequest__Output, _hello_v1_HelloReply__Output>
}
