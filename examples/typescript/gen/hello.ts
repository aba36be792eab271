import type * as grpc from '@grpc/grpc-js';
import type { MessageTypeDefinition } from '@grpc/proto-loader';

import type { GreeterClient as _hello_v1_GreeterClient, GreeterDefinition as _hello_v1_GreeterDefinition } from './hello/v1/Greeter.js';
import type { HelloReply as _hello_v1_HelloReply, HelloReply__Output as _hello_v1_HelloReply__Output } from './hello/v1/HelloReply.js';
import type { HelloRequest as _hello_v1_HelloRequest, HelloRequest__Output as _hello_v1_HelloRequest__Output } from './hello/v1/HelloRequest.js';

type SubtypeConstructor<Constructor extends new (...args: any) => any, Subtype> = {
  new(...args: ConstructorParameters<Constructor>): Subtype;
};

export interface ProtoGrpcType {
  hello: {
    v1: {
      Greeter: SubtypeConstructor<typeof grpc.Client, _hello_v1_GreeterClient> & { service: _hello_v1_GreeterDefinition }
      HelloReply: MessageTypeDefinition<_hello_v1_HelloReply, _hello_v1_HelloReply__Output>
      HelloRequest: MessageTypeDefinition<_hello_v1_HelloRequest, _hello_v1_HelloRequest__Output>
    }
  }
}

